-- spec.paused: the Rollout stays where it stands. Rolling back never waits.
obj.spec.paused = true
return obj
