{{- define "modelfleet.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 53 | trimSuffix "-" -}}
{{- end -}}

{{- define "modelfleet.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "modelfleet.name" . -}}
{{- $release := .Release.Name | replace "." "-" -}}{{/* Helm allows a dot, and Services do not */}}
{{- if contains $name $release -}}{{ $release | trunc 53 | trimSuffix "-" }}{{- else -}}{{ printf "%s-%s" $release $name | trunc 53 | trimSuffix "-" }}{{- end -}}
{{- end -}}
{{- end -}}

{{- define "modelfleet.selectorLabels" -}}
app.kubernetes.io/name: {{ include "modelfleet.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "modelfleet.labels" -}}
{{ include "modelfleet.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: modelfleet
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* Labels of an object that gets more of them by a value, which wins over the chart's own: each is written once, since Flux and
other readers of YAML refuse a key that comes twice. The argument: {root, more}. */}}
{{- define "modelfleet.labelsAnd" -}}
{{- merge (deepCopy (default dict .more)) (include "modelfleet.labels" .root | fromYaml) | toYaml -}}
{{- end -}}

{{/* Of the pod of `helm test`, which neither the Deployment nor the Service may take for the operator. */}}
{{- define "modelfleet.testLabels" -}}
app.kubernetes.io/name: {{ include "modelfleet.name" . }}-test
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "modelfleet.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}{{ default (include "modelfleet.fullname" .) .Values.serviceAccount.name }}{{- else -}}{{ required "serviceAccount.name is needed when serviceAccount.create is false" .Values.serviceAccount.name }}{{- end -}}
{{- end -}}

{{- define "modelfleet.image" -}}
{{- if .Values.image.digest -}}{{ .Values.image.repository }}@{{ .Values.image.digest }}{{- else -}}{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}{{- end -}}
{{- end -}}

{{/* The Lease of leader election, which the operator's rights follow. */}}
{{- define "modelfleet.leaseName" -}}
{{- default (include "modelfleet.fullname" .) .Values.settings.leaderElection.name -}}
{{- end -}}

{{/* In seconds: how long the operator may take to end, by its settings, and 5 s for what it does before and after. */}}
{{- define "modelfleet.gracePeriod" -}}
{{- $ends := print .Values.settings.shutdownTimeout .Values.notifications.drainTimeout }}
{{- divf (include "modelfleet.milliseconds" $ends | float64) 1000 | ceil | int | add 5 -}}
{{- end -}}

{{/* One metrics provider as the operator's settings have it; its credentials are files of a mounted Secret. */}}
{{- define "modelfleet.provider" -}}
url: {{ .provider.url | quote }}
{{- with .provider.timeout }}
timeout: {{ . | quote }}
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

{{/* One receiver of notifications as the operator's settings have it; its address, key and credentials may be files of a
mounted Secret. */}}
{{- define "modelfleet.endpoint" -}}
{{- $folder := include "modelfleet.endpointFolder" .name }}
{{- with omit .endpoint "secretName" "urlFile" "signingKey" "credentials" }}
{{- toYaml . }}
{{- end }}
{{- range $file := list "urlFile" "signingKey" }}
{{- with get $.endpoint $file }}
{{ $file }}: {{ $folder }}/{{ . }}
{{- end }}
{{- end }}
{{- with .endpoint.credentials }}
credentials:
  {{- range $file, $key := . }}
  {{ $file }}: {{ $folder }}/{{ $key }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "modelfleet.endpointFolder" -}}
/var/run/secrets/modelfleet-notifications/{{ . }}
{{- end -}}

{{/* Which Secret each provider's credentials are in: {name: Secret}. */}}
{{- define "modelfleet.providerSecrets" -}}
{{- if and .Values.prometheus.url .Values.prometheus.secretName }}
default: {{ .Values.prometheus.secretName | quote }}
{{- end }}
{{- range $name, $provider := .Values.prometheus.providers }}
{{- with $provider.secretName }}
{{ $name | quote }}: {{ . | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The ports of the metrics providers: those in their addresses and those that are named, each once: a list. */}}
{{- define "modelfleet.providerPorts" -}}
{{- $urls := list }}
{{- with .Values.prometheus.url }}{{ $urls = append $urls . }}{{ end }}
{{- range .Values.prometheus.providers }}{{ $urls = append $urls .url }}{{ end }}
{{- $ports := default list .Values.networkPolicy.prometheusPorts }}
{{- range $urls }}
{{- $address := urlParse . }}
{{- $written := regexFind ":[0-9]+$" $address.host }}
{{- $usual := eq $address.scheme "https" | ternary "443" "80" }}
{{- $ports = append $ports (default $usual (trimPrefix ":" $written) | int) }}
{{- end }}
{{- $ports | sortAlpha | uniq | toYaml }}
{{- end -}}

{{/* What the operator may do in the namespaces it watches. It never reads Secrets; of ConfigMaps it reads those that it
made (label app.kubernetes.io/managed-by: modelfleet), which RBAC has no words for. */}}
{{- define "modelfleet.rules" -}}
- apiGroups: [modelfleet.dev]
  resources: [rollouts, datasets]
  verbs: [get, list, watch]
- apiGroups: [modelfleet.dev]
  resources: [trainingjobs]             # create: retraining (spec.drift.retrain of a Rollout)
  verbs: [get, list, watch, create]
- apiGroups: [modelfleet.dev]
  resources: [modelversions]            # patch: the in-use finalizer and what verification found; delete: retention
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [modelfleet.dev]
  resources: [trainingjobs/status, rollouts/status, modelversions/status, datasets/status]
  verbs: [get, patch]
- apiGroups: [modelfleet.dev]
  resources: [trainingjobs/finalizers, rollouts/finalizers, datasets/finalizers]   # owner references that block deletion
  verbs: [update]
- apiGroups: [batch]
  resources: [jobs]                     # of ModelVersions, TrainingJobs and Datasets, and of a Rollout's replay
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [daemonsets, controllerrevisions]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [configmaps]               # the settings of capture (spec.delivery.capture of a Rollout)
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]                     # delete: a trainer's that failed, when a container beside it goes on
  verbs: [get, list, watch, delete]
- apiGroups: [kueue.x-k8s.io]
  resources: [localqueues]              # whether anybody serves the queue that a Job waits in; needs no Kueue to be there
  verbs: [get]
- apiGroups: [kueue.x-k8s.io]
  resources: [workloads]                # what a Job waits for there, for its TrainingJob's message
  verbs: [list]
- apiGroups: [""]
  resources: [pods/log]
  verbs: [get]
- apiGroups: [""]
  resources: [events]                   # get: a repeated Event is counted up; list: why a DaemonSet gets no pods
  verbs: [get, list, create, patch]
{{- end -}}

{{/* CEL: the list that an optional is, and an empty one where it is missing, null or something else: the rest of a pod
template is not looked at before its pods are made. */}}
{{- define "modelfleet.celList" -}}
(type({{ . }}.orValue([])) == list ? {{ . }}.orValue([]) : [])
{{- end -}}
