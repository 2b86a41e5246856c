{{/* What is read and written in each namespace that is watched. */}}
{{- define "isthmus.rules.namespaced" -}}
# What users write.
- apiGroups: [gateway.networking.k8s.io]
  resources: [backendtlspolicies, gateways, grpcroutes, httproutes, listenersets, referencegrants, tcproutes, tlsroutes, udproutes]
  verbs: [get, list, watch]
- apiGroups: [isthmus.dev]
  resources: [accesspolicies, configrollouts, gatewayconfigs, lanegroups, meshservices, peerpolicies, registries, sidecarscopes]
  verbs: [get, list, watch]
- apiGroups: [networking.k8s.io]
  resources: [ingresses]
  verbs: [get, list, watch]
# What routes lead to, and the certificates of listeners: of Secrets and ConfigMaps the names are watched, and only those
# that are referred to are read.
- apiGroups: [""]
  resources: [configmaps, secrets, services]
  verbs: [get, list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch]
{{- if .Values.mesh.enabled }}
# Who is behind an address: labels and ServiceAccount.
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
{{- end }}
# What Isthmus found out about them, and nothing else of them, is written back, by server-side apply.
- apiGroups: [gateway.networking.k8s.io]
  resources: [backendtlspolicies/status, gateways/status, grpcroutes/status, httproutes/status, listenersets/status, tcproutes/status, tlsroutes/status, udproutes/status]
  verbs: [patch]
- apiGroups: [networking.k8s.io]
  resources: [ingresses/status]
  verbs: [patch]
{{- if .Values.fleet.enabled }}
# The Envoys of each Gateway, in the Gateway's namespace.
- apiGroups: [apps]
  resources: [daemonsets, deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [configmaps, serviceaccounts, services]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch, create, patch, delete]
{{- end }}
{{- end -}}

{{/* What has no namespace. */}}
{{- define "isthmus.rules.cluster" -}}
- apiGroups: [gateway.networking.k8s.io]
  resources: [gatewayclasses]
  verbs: [get, list, watch]
- apiGroups: [isthmus.dev]
  resources: [meshconfigs]
  verbs: [get, list, watch]
- apiGroups: [gateway.networking.k8s.io]
  resources: [gatewayclasses/status]
  verbs: [patch]
- apiGroups: [networking.k8s.io]
  resources: [ingressclasses]
  verbs: [get, list, watch]
# Labels of namespaces say which routes a listener takes, those of nodes where an endpoint is.
- apiGroups: [""]
  resources: [namespaces, nodes]
  verbs: [get, list, watch]
# Which kinds are there, and in which version.
- apiGroups: [apiextensions.k8s.io]
  resources: [customresourcedefinitions]
  verbs: [get, list, watch]
# Whether the token that an Envoy or a person shows is real, and whose it is.
- apiGroups: [authentication.k8s.io]
  resources: [tokenreviews]
  verbs: [create]
# What a person may who uses the API.
- apiGroups: [authorization.k8s.io]
  resources: [subjectaccessreviews]
  verbs: [create]
{{- if include "isthmus.injection" . }}
# Who signs the certificate of the webhook is written there.
- apiGroups: [admissionregistration.k8s.io]
  resources: [mutatingwebhookconfigurations]
  resourceNames: [{{ include "isthmus.clusterName" . }}-inject]
  verbs: [get, patch]
{{- end }}
{{- end -}}
