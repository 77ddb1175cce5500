-- What can be done with a Rollout as it stands. The actions write the annotations of docs/rollout.md of modelfleet.
local status = obj.status or {}
local candidate = status.candidateVersion
local ready = {}
for _, condition in ipairs(status.conditions or {}) do
  if condition.type == "Ready" then
    ready = condition
  end
end

-- What failed of the model that the spec names: another one may have versions of the same name. Where only a template
-- failed, entry.revision says which; the version with another template is as good as any.
local quarantined, failed, others, stopped = {}, nil, false, false
for _, entry in ipairs(status.quarantined or {}) do
  if entry.model == nil or entry.model == obj.spec.model.name then
    quarantined[entry.version] = true
    others = others or (failed ~= nil and failed ~= entry.version)
    failed = failed or entry.version
    stopped = stopped
      or (entry.version == candidate and (entry.revision == nil or entry.revision == status.candidateRevision))
  end
end

-- Promote and abort are for the version on its way. One that failed can still be where it was left
-- (rollback.onFailure is false): then it can be taken back, where there is something to go back to.
local moving = candidate ~= nil and not stopped
local left = stopped and status.stableVersion ~= nil
-- Retry is for the version that was left, else for the one that the spec asks for. Where it follows a tag, that is clear
-- while only one has failed.
local asked = obj.spec.model.version
local again
if candidate ~= nil then
  again = stopped
elseif asked ~= nil then
  again = quarantined[asked]
else
  again = failed ~= nil and not others
end

local paused = obj.spec.paused == true
local actions = {
  approve = {
    displayName = "Approve",
    iconClass = "fa fa-fw fa-check",
    disabled = not (moving and ready.reason == "WaitingForApproval"),
  },
  promote = {
    displayName = "Promote (skip all gates and approvals)",
    iconClass = "fa fa-fw fa-fast-forward",
    disabled = not moving,
  },
  abort = {
    displayName = "Abort (back to the stable version)",
    iconClass = "fa fa-fw fa-times-circle",
    disabled = not (moving or left),
  },
  retry = {
    displayName = "Retry the version that failed",
    iconClass = "fa fa-fw fa-redo",
    disabled = not (again and ready.status ~= "True"),
  },
  pause = { displayName = "Pause", iconClass = "fa fa-fw fa-pause-circle", disabled = paused },
  resume = { displayName = "Resume", iconClass = "fa fa-fw fa-play-circle", disabled = not paused },
}

if obj.spec.drift ~= nil and obj.spec.drift.retrain ~= nil then
  local retrain = status.drift and status.drift.retrain or {}
  actions.retrain = {
    displayName = "Train a new version now",
    iconClass = "fa fa-fw fa-graduation-cap",
    disabled = status.stableVersion == nil or retrain.reason == "TrainingRunning",
  }
end
return actions
