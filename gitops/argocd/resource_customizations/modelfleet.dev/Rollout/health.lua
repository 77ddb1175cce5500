-- How an object of modelfleet.dev stands, by its kstatus conditions: one script for all kinds of the group.
-- Their reasons: docs/reasons.md of modelfleet. No string library: Argo CD has none for scripts of argocd-cm.
local status = obj.status or {}
local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end
local ready = conditions["Ready"]

-- What is said of an older spec, or by the default of the CRD, is not true of this one.
if ready == nil or status.observedGeneration == nil then
  return { status = "Progressing", message = ready and ready.message or "Waiting for the modelfleet operator" }
end
if status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "Waiting for the modelfleet operator to see the newest spec" }
end

if ready.status == "True" then
  return { status = "Healthy", message = ready.message }
end
local stalled = conditions["Stalled"]
if stalled ~= nil and stalled.status == "True" then
  return { status = "Degraded", message = stalled.message }
end
-- People hold it: a Rollout that asks for approval or is paused, a TrainingJob or Dataset with spec.suspend.
local held = { WaitingForApproval = true, Paused = true, Suspended = true }
if held[ready.reason] then
  return { status = "Suspended", message = ready.message }
end
local reconciling = conditions["Reconciling"]
if reconciling ~= nil and reconciling.status == "True" then
  return { status = "Progressing", message = reconciling.message }
end
-- It was all there, and part of it is not any more: too few nodes are ready.
return { status = "Degraded", message = ready.message }
