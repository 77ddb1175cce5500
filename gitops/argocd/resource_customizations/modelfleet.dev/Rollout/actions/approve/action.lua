-- modelfleet.dev/approve: the version may leave the Manual group that it is in.
local status = obj.status or {}
local waits = false
for _, condition in ipairs(status.conditions or {}) do
  waits = waits or (condition.type == "Ready" and condition.reason == "WaitingForApproval")
end
local current
for _, group in ipairs(status.groups or {}) do
  if group.name == status.currentGroup then
    current = group
  end
end
if not waits or current == nil then
  error("no version waits for approval", 0)
end
-- Since when the group has the version: a second click says the same, and does not approve the next group, too.
obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["modelfleet.dev/approve"] = status.candidateVersion .. "@" .. current.startedAt
return obj
