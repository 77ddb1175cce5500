-- modelfleet.dev/retry: the quarantine of the version that failed is lifted.
local status = obj.status or {}
local newest -- of the model that the spec names
for _, entry in ipairs(status.quarantined or {}) do
  if newest == nil and (entry.model == nil or entry.model == obj.spec.model.name) then
    newest = entry
  end
end
if newest == nil then
  error("no version is quarantined", 0)
end
local version = status.candidateVersion or obj.spec.model.version or newest.version
-- A value acts once. The resource version was in none before, since each write changes it.
obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["modelfleet.dev/retry"] = version .. "@" .. obj.metadata.resourceVersion
return obj
