// Cuts the schemas of a few built-in kinds out of Kubernetes' OpenAPI documents, in the form that CRDs have: one object
// without references, prose or the marks of Go's generator.
//
//	main OUT.json DOCUMENT.json io.k8s.api.core.v1.Secret
package main

import (
	"bytes"
	"encoding/json"
	"log"
	"os"
	"reflect"
	"strings"
)

// structural tells what stands for a schema as a whole where OpenAPI has a form that structural schemas do not.
var structural = map[string]map[string]any{
	"io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"x-kubernetes-int-or-string": true},
	"io.k8s.apimachinery.pkg.api.resource.Quantity":   {"x-kubernetes-int-or-string": true},
	// As in a CRD, whose schema leaves metadata to the API server.
	"io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta": {"type": "object"},
}

type inliner struct {
	schemas map[string]map[string]any
	open    []string // names being inlined, to name a cycle instead of running for ever
}

func main() {
	log.SetFlags(0)
	out, document, name := os.Args[1], os.Args[2], os.Args[3]
	text, err := os.ReadFile(document)
	check(err)
	var openapi struct {
		Components struct {
			Schemas map[string]map[string]any `json:"schemas"`
		} `json:"components"`
	}
	check(json.Unmarshal(text, &openapi))
	in := inliner{schemas: openapi.Components.Schemas}
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer) // map keys come out sorted
	encoder.SetEscapeHTML(false)
	check(encoder.Encode(in.named(name)))
	check(os.WriteFile(out, buffer.Bytes(), 0o644))
}

func (in *inliner) named(name string) map[string]any {
	if whole, ok := structural[name]; ok {
		return whole
	}
	schema, ok := in.schemas[name]
	if !ok {
		log.Fatalf("no schema %s", name)
	}
	for _, outer := range in.open {
		if outer == name {
			log.Fatalf("%s refers to itself by way of %v", name, in.open)
		}
	}
	in.open = append(in.open, name)
	defer func() { in.open = in.open[:len(in.open)-1] }()
	return in.schema(schema)
}

func (in *inliner) schema(schema map[string]any) map[string]any {
	kept := map[string]any{}
	// `allOf` with one reference is how OpenAPI puts something beside a $ref: lay the two over each other.
	refs, _ := schema["allOf"].([]any)
	if _, ok := schema["$ref"]; ok {
		refs = append(refs, schema)
	}
	for _, ref := range refs {
		path, ok := ref.(map[string]any)["$ref"].(string)
		if !ok || len(refs) != 1 {
			log.Fatalf("in %v: an allOf that is not one reference: %v", in.open, refs)
		}
		for key, value := range in.named(strings.TrimPrefix(path, "#/components/schemas/")) {
			kept[key] = value
		}
	}
	for key, value := range schema {
		switch key {
		case "description", "allOf", "$ref":
		case "oneOf", "anyOf", "not":
			log.Fatalf("in %v: %s needs an entry in `structural`", in.open, key)
		case "x-kubernetes-group-version-kind", "x-kubernetes-unions",
			"x-kubernetes-patch-strategy", "x-kubernetes-patch-merge-key": // unknown to structural schemas
		case "default":
			// The zero value of a Go field that is not a pointer: no default that the API server would fill in.
			if value != nil && !reflect.ValueOf(value).IsZero() && !reflect.DeepEqual(value, map[string]any{}) {
				kept[key] = value
			}
		case "properties":
			properties := map[string]any{}
			for name, property := range value.(map[string]any) {
				properties[name] = in.schema(property.(map[string]any))
			}
			kept[key] = properties
		case "items", "additionalProperties":
			child, ok := value.(map[string]any)
			if !ok { // additionalProperties: true
				kept[key] = value
				continue
			}
			kept[key] = in.schema(child)
		default:
			kept[key] = value
		}
	}
	return kept
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
