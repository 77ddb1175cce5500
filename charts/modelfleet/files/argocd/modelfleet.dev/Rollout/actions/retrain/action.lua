-- modelfleet.dev/retrain: a new version is trained now, from spec.drift.retrain.
local drift = obj.status and obj.status.drift or {}
if obj.spec.drift == nil or obj.spec.drift.retrain == nil then
  error("spec.drift.retrain, which says how to train, is missing", 0)
end
-- The last training is named, so that a second click says the same, and does not train once more.
local last = (drift.retrainings or {})[1]
obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["modelfleet.dev/retrain"] = last and "now@after-" .. last.trainingJob or "now"
return obj
