-- modelfleet.dev/abort: back to the stable version, and the version on its way is quarantined.
local version = obj.status and obj.status.candidateVersion
if version == nil then
  error("no version is on its way", 0)
end
-- A value acts once. The resource version was in none before, since each write changes it.
obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["modelfleet.dev/abort"] = version .. "@" .. obj.metadata.resourceVersion
return obj
