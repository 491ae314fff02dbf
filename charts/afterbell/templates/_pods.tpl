{{/* One variable out of a Secret. (dict "root" $ "name" "REDIS_URL" "own" .Values.redis) */}}
{{- define "afterbell.secretEnv" -}}
- name: {{ .name }}
  valueFrom:
    secretKeyRef:
      name: {{ include "afterbell.secret" . }}
      key: {{ .own.key }}
{{- end -}}

{{- define "afterbell.databaseEnv" -}}
{{ include "afterbell.secretEnv" (dict "root" . "name" "DATABASE_URL" "own" .Values.database) }}
{{- end -}}

{{- define "afterbell.redisEnv" -}}
{{ include "afterbell.secretEnv" (dict "root" . "name" "REDIS_URL" "own" .Values.redis) }}
{{- end -}}

{{- define "afterbell.authEnv" -}}
{{ include "afterbell.secretEnv" (dict "root" . "name" "AFTERBELL_JWT_SECRET" "own" .Values.auth) }}
- name: AFTERBELL_JWT_SECRET_PREVIOUS
  valueFrom:
    secretKeyRef:
      name: {{ include "afterbell.secret" (dict "root" . "own" .Values.auth) }}
      key: AFTERBELL_JWT_SECRET_PREVIOUS
      optional: true
{{- end -}}

{{/* The admin API is there where the Secret has this key. */}}
{{- define "afterbell.adminEnv" -}}
- name: AFTERBELL_ADMIN_SECRET
  valueFrom:
    secretKeyRef:
      name: {{ include "afterbell.secret" (dict "root" . "own" .Values.auth) }}
      key: AFTERBELL_ADMIN_SECRET
      optional: true
- name: AFTERBELL_ADMIN_SECRET_PREVIOUS
  valueFrom:
    secretKeyRef:
      name: {{ include "afterbell.secret" (dict "root" . "own" .Values.auth) }}
      key: AFTERBELL_ADMIN_SECRET_PREVIOUS
      optional: true
{{- end -}}

{{/*
`replicas` of a Deployment. (dict "root" $ "component" "api" "name" "x" "scaled" true): a Pool or an autoscaler decides.

None then: Helm and the scaler would fight for the field. But a number that was Helm's and is left out becomes 1: the
API server drops a field with its last owner, and Helm's client-side merge (Helm 3) deletes it. So the present number is
rendered while it is Helm's, which it is until the scaler has changed it, and always where Helm merges by itself.
*/}}
{{- define "afterbell.replicas" -}}
{{- $number := (index .root.Values .component).replicas -}}
{{- if and (not .scaled) (kindIs "float64" $number | or (kindIs "int64" $number)) -}}
replicas: {{ $number }}
{{- else -}}
{{- $present := lookup "apps/v1" "Deployment" .root.Release.Namespace .name -}}
{{- $helms := false -}}
{{- range dig "metadata" "managedFields" list $present -}}
{{- $spec := dig "f:spec" dict (.fieldsV1 | default dict) -}}
{{- if and (hasKey $spec "f:selector") (or (eq .operation "Update") (hasKey $spec "f:replicas")) -}}
{{- $helms = true -}}
{{- end -}}
{{- end -}}
{{- if $helms -}}
replicas: {{ $present.spec.replicas }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* By this name the operator knows whose sockets it is told; without it nothing is told. */}}
{{- define "afterbell.podNameEnv" -}}
{{- if .Values.api.pool.enabled -}}
- name: AFTERBELL_POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
{{- end -}}
{{- end -}}

{{- define "afterbell.modelEnv" -}}
{{- if .Values.model.stub -}}
- name: OPENAI_API_KEY
  value: stub
- name: OPENAI_BASE_URL
  value: http://127.0.0.1:8089/v1
{{- else -}}
{{ include "afterbell.secretEnv" (dict "root" . "name" "OPENAI_API_KEY" "own" .Values.model) }}
{{- end }}
{{- if .Values.model.fallback.existingSecret }}
{{ include "afterbell.secretEnv" (dict "root" . "name" "AFTERBELL_FALLBACK_API_KEY" "own" .Values.model.fallback) }}
{{- end }}
{{- end -}}

{{/* The settings no process may miss; a change of them starts new pods. */}}
{{- define "afterbell.settings" -}}
{{- $settings := dict
  "APP_ENV" .Values.environment
  "AFTERBELL_LOG_FORMAT" "json"
  "AFTERBELL_HOST" "0.0.0.0"
  "PORT" "5000"
  "AFTERBELL_INTERNAL_PORT" "9000"
  "AFTERBELL_QUEUE" .Values.queue.name
  "AFTERBELL_WORKER_CONCURRENCY" (.Values.worker.concurrency | toString)
  "AFTERBELL_DRAIN_SECONDS" (.Values.worker.drainSeconds | toString)
  "AFTERBELL_DRAIN_WINDOW_SECONDS" (.Values.api.drainWindowSeconds | toString)
  "AFTERBELL_CLASSROOM" (.Values.api.classroom | toString)
  "AFTERBELL_LLM_API" .Values.model.api -}}
{{- $optional := dict
  "AFTERBELL_JWT_AUDIENCE" .Values.auth.audience
  "AFTERBELL_MODEL" .Values.model.name
  "OPENAI_BASE_URL" .Values.model.baseUrl
  "AFTERBELL_FALLBACK_MODEL" .Values.model.fallback.name
  "AFTERBELL_FALLBACK_BASE_URL" .Values.model.fallback.baseUrl
  "AFTERBELL_ALLOWED_ORIGINS" (join "," .Values.api.allowedOrigins) -}}
{{- range $name, $value := $optional }}{{ if $value }}{{ $_ := set $settings $name $value }}{{ end }}{{ end -}}
{{- range $name, $value := .Values.settings }}{{ $_ := set $settings $name ($value | toString) }}{{ end -}}
{{- toYaml $settings -}}
{{- end -}}

{{/* What the `restricted` Pod Security Standard asks of a pod, and more. */}}
{{- define "afterbell.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ .user | default 10001 }}
runAsGroup: {{ .user | default 10001 }}
fsGroup: {{ .user | default 10001 }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "afterbell.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* Annotations of a pod: settings it was started with, who scrapes it, what the user adds. */}}
{{- define "afterbell.podAnnotations" -}}
{{- $annotations := dict "checksum/settings" (include "afterbell.settings" .root | sha256sum) -}}
{{- if .root.Values.monitoring.annotations -}}
{{- $_ := mergeOverwrite $annotations (dict "prometheus.io/scrape" "true" "prometheus.io/port" "9000" "prometheus.io/path" "/metrics") -}}
{{- end -}}
{{- toYaml (mergeOverwrite $annotations (index .root.Values .component).podAnnotations) -}}
{{- end -}}

{{/* metadata of a pod template. (dict "root" $ "component" "api") */}}
{{- define "afterbell.podMetadata" -}}
labels:
  {{- include "afterbell.labels" . | nindent 2 }}
  {{- with (index .root.Values .component).podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  {{- include "afterbell.podAnnotations" . | nindent 2 }}
{{- end -}}

{{/* Where a component's pods may and should run. */}}
{{- define "afterbell.placement" -}}
{{- $own := index .root.Values .component -}}
{{- with $own.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $own.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
{{- if $own.topologySpreadConstraints }}
  {{- toYaml $own.topologySpreadConstraints | nindent 2 }}
{{- else }}
  {{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: ScheduleAnyway
    matchLabelKeys: [pod-template-hash]
    labelSelector:
      matchLabels:
        {{- include "afterbell.selectorLabels" $ | nindent 8 }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* All of a pod but its containers. (dict "root" $ "component" "api" "account" "name") */}}
{{- define "afterbell.pod" -}}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .account }}
serviceAccountName: {{ . }}
{{- end }}
automountServiceAccountToken: {{ not (empty .account) }}
enableServiceLinks: false
securityContext: {{- include "afterbell.podSecurity" (dict) | nindent 2 }}
{{ include "afterbell.placement" . }}
volumes:
  - name: tmp
    emptyDir: {}
  {{- if .root.Values.reload }}
  - name: code
    emptyDir: {}
  {{- end }}
  {{- with (index .root.Values .component).extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* A container of our images. (dict "root" $ "component" "api" "name" "api" "args" (list "api")) */}}
{{- define "afterbell.container" -}}
name: {{ .name }}
image: {{ include "afterbell.image" . }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
{{- if and .root.Values.reload (has .name (list "api" "worker")) }}
command: [python, -c, {{ .root.Files.Get "files/reload.py" | toJson }}, /app, /code]
{{- end }}
args: {{ toJson .args }}
securityContext: {{- include "afterbell.containerSecurity" . | nindent 2 }}
resources: {{- toYaml (index .root.Values .component).resources | nindent 2 }}
volumeMounts:
  - name: tmp
    mountPath: /tmp
  {{- if .root.Values.reload }}
  - name: code
    mountPath: /code
  {{- end }}
  {{- with (index .root.Values .component).extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* envFrom and env of a container. (dict "root" $ "component" "api" "env" "…YAML…") */}}
{{- define "afterbell.environment" -}}
envFrom:
  - configMapRef:
      name: {{ include "afterbell.fullname" .root }}-settings
  {{- with (index .root.Values .component).extraEnvFrom }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
env:
  {{- .env | nindent 2 }}
  {{- if .root.Values.reload }}
  - {name: PYTHONPATH, value: "/code:/app"}
  {{- end }}
  {{- with (index .root.Values .component).extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* Probes of the internal port. Liveness and startup ask the process alone, never a store. (dict "ready" "/readyz") */}}
{{- define "afterbell.probes" -}}
startupProbe:
  httpGet: {path: /livez, port: internal}
  periodSeconds: 1
  timeoutSeconds: 2
  failureThreshold: 60
readinessProbe:
  httpGet: {path: {{ .ready }}, port: internal}
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 2
livenessProbe:
  httpGet: {path: /livez, port: internal}
  periodSeconds: 4
  timeoutSeconds: 3
  failureThreshold: 3
  # What does not answer will not drain either, and its jobs wait for its end: 20 s with the start of the next.
  terminationGracePeriodSeconds: 2
{{- end -}}
