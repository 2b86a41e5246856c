module isthmus/proto/tools/gateway_api

go 1.26.0

require (
	gopkg.in/yaml.v3 v3.0.1
	sigs.k8s.io/gateway-api v1.6.3
)
