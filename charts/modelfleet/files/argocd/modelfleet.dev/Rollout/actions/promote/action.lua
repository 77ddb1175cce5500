-- modelfleet.dev/promote: the version may skip all remaining gates and approvals.
local version = obj.status and obj.status.candidateVersion
if version == nil then
  error("no version is on its way", 0)
end
-- A value acts once. The resource version was in none before, since each write changes it.
obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["modelfleet.dev/promote"] = version .. "@" .. obj.metadata.resourceVersion
return obj
