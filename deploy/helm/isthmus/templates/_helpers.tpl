{{/* The name of everything that is installed: the release's. */}}
{{- define "isthmus.name" -}}
{{- default .Release.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Cluster-scoped objects of two installations must not collide. */}}
{{- define "isthmus.clusterName" -}}
{{- if eq (include "isthmus.name" .) .Release.Namespace -}}
{{- include "isthmus.name" . -}}
{{- else -}}
{{- printf "%s-%s" .Release.Namespace (include "isthmus.name" .) -}}
{{- end -}}
{{- end -}}

{{- define "isthmus.selector" -}}
app.kubernetes.io/name: isthmus
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: control-plane
{{- end -}}

{{- define "isthmus.labels" -}}
{{ include "isthmus.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "isthmus.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "isthmus.name" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name is needed where serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "isthmus.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* Whether the CA of the mesh is ours to make: not empty. */}}
{{- define "isthmus.ownCa" -}}
{{- if and .Values.mesh.enabled (not .Values.mesh.ca.secretName) }}yes{{ end -}}
{{- end -}}

{{- define "isthmus.xdsSecret" -}}
{{- default (printf "%s-xds" (include "isthmus.name" .)) .Values.xds.tls.secretName -}}
{{- end -}}

{{/* The name by which gateways of all namespaces reach the control plane; the certificate has it. */}}
{{- define "isthmus.xdsHost" -}}
{{- printf "%s-xds.%s.svc" (include "isthmus.name" .) .Release.Namespace -}}
{{- end -}}

{{/* Not empty where pods get sidecars: these find the control plane as the Envoys of Gateways do. */}}
{{- define "isthmus.injection" -}}
{{- if and .Values.injection.enabled .Values.fleet.enabled .Values.mesh.enabled -}}yes{{- end -}}
{{- end -}}
