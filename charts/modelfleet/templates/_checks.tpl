{{/* What values.schema.json has no words for: settings that depend on each other, and how long a duration is. Each is a check of
the operator's, too (operator/modelfleet/settings.py): a pod that ends at its start is found out later than this. The
argument: the settings as they are rendered. */}}
{{- define "modelfleet.check" -}}
{{- $providers := .prometheus.providers }}
{{- $election := .leaderElection }}
{{- $durations := list
  (list "verification.timeout" .verification.timeout "1s" "be at least 1s")
  (list "settings.resyncPeriod" .resyncPeriod "1m" "be at least 1m")
  (list "settings.backoff.limit" .backoff.limit .backoff.base "not be below settings.backoff.base")
  (list "settings.leaderElection.renewDeadline" $election.renewDeadline (print $election.retryPeriod "0.001ms") "exceed settings.leaderElection.retryPeriod")
  (list "settings.leaderElection.leaseDuration" $election.leaseDuration (print $election.renewDeadline "1s") "exceed settings.leaderElection.renewDeadline by a second or more")
  (list "settings.reconcileTimeout" .reconcileTimeout (print .prometheus.timeout "0.001ms") (printf "exceed prometheus.timeout (%s)" .prometheus.timeout)) }}
{{- range $name, $provider := $providers }}
{{- $timeout := default "30s" $provider.timeout }}
{{- $durations = append $durations (list "settings.reconcileTimeout" $.reconcileTimeout (print $timeout "0.001ms") (printf "exceed prometheus.providers.%s.timeout (%s)" $name $timeout)) }}
{{- end }}
{{- range $durations }}
{{- if lt (include "modelfleet.milliseconds" (index . 1) | float64) (include "modelfleet.milliseconds" (index . 2) | float64) }}
{{- fail (printf "%s: must %s, not %s" (index . 0) (index . 3) (index . 1)) }}
{{- end }}
{{- end }}
{{- if and .prometheus.url (hasKey $providers "default") }}
{{- fail "prometheus.providers.default: is the one at prometheus.url: give only one of them" }}
{{- end }}
{{- if not (or (eq .prometheus.default "default") (hasKey $providers .prometheus.default)) }}
{{- fail (printf "prometheus.default: must name one of prometheus.providers (%s), not %s" (keys $providers | sortAlpha | join ", " | default "there are none") .prometheus.default) }}
{{- end }}
{{- $keys := default "" .signatures.publicKeys }}
{{- $blocks := regexFindAll "-----BEGIN PUBLIC KEY-----" $keys -1 | len }}
{{- if or (ne $blocks (regexFindAll "-----END PUBLIC KEY-----" $keys -1 | len)) (and (eq $blocks 0) (trim $keys)) }}
{{- fail "signatures.publicKeys: must be public keys in PEM: -----BEGIN PUBLIC KEY----- and so on" }}
{{- end }}
{{- if and .signatures.required (eq $blocks 0) }}
{{- fail "signatures.required: needs signatures.publicKeys" }}
{{- end }}
{{- end -}}

{{/* How long a duration is; of several, one after the other, how long they are together. */}}
{{- define "modelfleet.milliseconds" -}}
{{- $sum := 0.0 }}
{{- range regexFindAll "[0-9.]+[a-z]+" . -1 }}
{{- $unit := get (dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000) (regexFind "[a-z]+" .) }}
{{- $sum = addf $sum (mulf (regexFind "[0-9.]+" . | float64) $unit) }}
{{- end }}
{{- $sum }}
{{- end -}}
