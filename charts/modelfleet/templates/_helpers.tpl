{{- define "modelfleet.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 53 | trimSuffix "-" -}}
{{- end -}}

{{- define "modelfleet.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "modelfleet.name" . -}}
{{- if contains $name .Release.Name -}}{{ .Release.Name | trunc 53 | trimSuffix "-" }}{{- else -}}{{ printf "%s-%s" .Release.Name $name | trunc 53 | trimSuffix "-" }}{{- end -}}
{{- end -}}
{{- end -}}

{{- define "modelfleet.selectorLabels" -}}
app.kubernetes.io/name: {{ include "modelfleet.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "modelfleet.labels" -}}
{{ include "modelfleet.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: modelfleet
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "modelfleet.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}{{ default (include "modelfleet.fullname" .) .Values.serviceAccount.name }}{{- else -}}{{ required "serviceAccount.name is needed when serviceAccount.create is false" .Values.serviceAccount.name }}{{- end -}}
{{- end -}}

{{- define "modelfleet.image" -}}
{{- if .Values.image.digest -}}{{ .Values.image.repository }}@{{ .Values.image.digest }}{{- else -}}{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}{{- end -}}
{{- end -}}

{{/* One metrics provider as the operator's settings have it; its credentials are files of a mounted Secret. */}}
{{- define "modelfleet.provider" -}}
url: {{ .provider.url | quote }}
{{- with .provider.timeout }}
timeout: {{ . }}
{{- end }}
{{- if .provider.credentials }}
{{- $_ := required (printf "prometheus credentials of %s: secretName must say which Secret has them" .name) .provider.secretName }}
credentials:
  {{- range $file, $key := .provider.credentials }}
  {{ $file }}: {{ include "modelfleet.credentialsFolder" $.name }}/{{ $key }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "modelfleet.credentialsFolder" -}}
/var/run/secrets/modelfleet/{{ . }}
{{- end -}}

{{/* Which Secret each provider's credentials are in: {name: Secret}. */}}
{{- define "modelfleet.providerSecrets" -}}
{{- if and .Values.prometheus.url .Values.prometheus.secretName }}
default: {{ .Values.prometheus.secretName }}
{{- end }}
{{- range $name, $provider := .Values.prometheus.providers }}
{{- with $provider.secretName }}
{{ $name }}: {{ . }}
{{- end }}
{{- end }}
{{- end -}}

{{/* What the operator may do in the namespaces it watches. It never reads Secrets or ConfigMaps. */}}
{{- define "modelfleet.rules" -}}
- apiGroups: [modelfleet.dev]
  resources: [rollouts]
  verbs: [get, list, watch]
- apiGroups: [modelfleet.dev]
  resources: [trainingjobs]             # create: retraining (spec.drift.retrain of a Rollout)
  verbs: [get, list, watch, create]
- apiGroups: [modelfleet.dev]
  resources: [modelversions]            # patch: the in-use finalizer and what verification found; delete: retention
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [modelfleet.dev]
  resources: [trainingjobs/status, rollouts/status, modelversions/status]
  verbs: [get, patch]
- apiGroups: [modelfleet.dev]
  resources: [trainingjobs/finalizers, rollouts/finalizers]   # owner references that block deletion
  verbs: [update]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [daemonsets, controllerrevisions]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [pods/log]
  verbs: [get]
- apiGroups: [""]
  resources: [events]                   # get: a repeated Event is counted up, not written again
  verbs: [get, create, patch]
{{- end -}}
