-- modelfleet.dev/retry: the quarantine of the version that failed is lifted.
local status = obj.status or {}
local newest = (status.quarantined or {})[1]
if newest == nil then
  error("no version is quarantined", 0)
end
local version = status.candidateVersion or obj.spec.model.version or newest.version
-- A value acts once. The resource version was in none before, since each write changes it.
obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["modelfleet.dev/retry"] = version .. "@" .. obj.metadata.resourceVersion
return obj
