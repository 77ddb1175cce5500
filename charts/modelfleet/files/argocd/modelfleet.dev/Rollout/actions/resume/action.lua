-- spec.paused: the Rollout goes on.
obj.spec.paused = false
return obj
