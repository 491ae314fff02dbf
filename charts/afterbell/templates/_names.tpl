{{- define "afterbell.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Name of the release's objects; short, so that the longest suffix still fits. */}}
{{- define "afterbell.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "afterbell.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "afterbell.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels that never change, for selectors. (dict "root" $ "component" "api") */}}
{{- define "afterbell.selectorLabels" -}}
app.kubernetes.io/name: {{ include "afterbell.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "afterbell.labels" -}}
{{ include "afterbell.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: afterbell
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* metadata of an object. (dict "root" $ "component" "api" "name" "x" "annotations" (dict)) */}}
{{- define "afterbell.metadata" -}}
name: {{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "afterbell.labels" . | nindent 2 }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with mergeOverwrite (dict) .root.Values.commonAnnotations (.annotations | default dict) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Image of a component, or another one. (dict "root" $ "component" "api") (dict "root" $ "image" .Values.model.stubImage) */}}
{{- define "afterbell.image" -}}
{{- $image := .image | default (index .root.Values .component).image -}}
{{- $registry := .root.Values.global.imageRegistry | default .root.Values.image.registry -}}
{{- $name := ternary (printf "%s/%s" $registry $image.repository) $image.repository (ne $registry "") -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $name $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name ($image.tag | default .root.Values.image.tag | default .root.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* Who scales this release's Pools; empty: any operator that watches them. */}}
{{- define "afterbell.operatorName" -}}
{{- $own := printf "%s.%s" .Release.Namespace (include "afterbell.fullname" .) -}}
{{- .Values.operator.name | default (ternary $own "" .Values.operator.enabled) -}}
{{- end -}}

{{/* The ceilings of the workers' Pool as YAML: those of the values, and the workers' own limiter, where it limits. */}}
{{- define "afterbell.ceilings" -}}
{{- $settings := dict "AFTERBELL_STARTS_PER_WINDOW" 10 "AFTERBELL_STARTS_WINDOW_SECONDS" 60 -}}
{{- range $name, $value := .Values.settings }}{{ $_ := set $settings $name $value }}{{ end -}}
{{- $starts := get $settings "AFTERBELL_STARTS_PER_WINDOW" | toString | float64 -}}
{{- $window := get $settings "AFTERBELL_STARTS_WINDOW_SECONDS" | toString | float64 -}}
{{- $perMinute := divf (mulf $starts 60.0) $window | ceil | int -}}
{{- $limiter := dict "name" "limiter" "jobsPerMinute" $perMinute "jobDuration" .Values.worker.pool.jobDuration -}}
{{- $names := list -}}
{{- range .Values.worker.pool.ceilings }}{{ $names = append $names .name }}{{ end -}}
{{- $own := ternary (list $limiter) list (and (gt $starts 0.0) (not (has "limiter" $names))) -}}
{{- concat .Values.worker.pool.ceilings $own | toYaml -}}
{{- end -}}

{{- define "afterbell.operatorAccount" -}}
{{- .Values.operator.serviceAccount.name | default (printf "%s-operator" (include "afterbell.fullname" .)) -}}
{{- end -}}

{{/* Secret of a credential: its own, the common one, or the trial's. (dict "root" $ "own" .Values.redis) */}}
{{- define "afterbell.secret" -}}
{{- $trial := ternary (printf "%s-trial" (include "afterbell.fullname" .root)) "" .root.Values.trial.enabled -}}
{{- .own.existingSecret | default .root.Values.existingSecret | default $trial -}}
{{- end -}}

{{- define "afterbell.migrations" -}}
{{- ternary "init" .Values.migrations.run .Values.trial.enabled -}}
{{- end -}}
