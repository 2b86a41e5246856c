// Writes the schema of each CRD file named on the command line as compact JSON to OUT/<Kind>.json.
//
//	main OUT VERSION CRD.yaml...
//
// The schema is that of VERSION; an API server turns what was written in another served version into it.
// Prose is left out: it is three quarters of the text, and the schemas are there to check documents, not to explain them.
package main

import (
	"bytes"
	"encoding/json"
	"log"
	"os"
	"path/filepath"

	"gopkg.in/yaml.v3"
	"sigs.k8s.io/gateway-api/pkg/consts"
)

type crd struct {
	Metadata struct {
		Annotations map[string]string
	}
	Spec struct {
		Names    struct{ Kind string }
		Versions []struct {
			Name   string
			Served bool
			Schema struct {
				OpenAPIV3Schema map[string]any `yaml:"openAPIV3Schema"`
			}
		}
	}
}

func main() {
	log.SetFlags(0)
	out, version := os.Args[1], os.Args[2]
	for _, path := range os.Args[3:] {
		text, err := os.ReadFile(path)
		check(err)
		var doc crd
		check(yaml.Unmarshal(text, &doc))
		kind := doc.Spec.Names.Kind
		if got := doc.Metadata.Annotations[consts.BundleVersionAnnotation]; got != consts.BundleVersion {
			log.Fatalf("%s: bundle version %q, but the module says %q", path, got, consts.BundleVersion)
		}
		var chosen any
		for _, v := range doc.Spec.Versions {
			if !v.Served {
				continue
			}
			if v.Name == version {
				chosen = withoutProse(v.Schema.OpenAPIV3Schema)
			}
		}
		if chosen == nil {
			log.Fatalf("%s: %s is not a served version", path, version)
		}
		var buffer bytes.Buffer
		encoder := json.NewEncoder(&buffer) // map keys come out sorted
		encoder.SetEscapeHTML(false)
		check(encoder.Encode(chosen))
		check(os.WriteFile(filepath.Join(out, kind+".json"), buffer.Bytes(), 0o644))
	}
}

// withoutProse drops every description; a *property* called description would be an object and stays.
func withoutProse(value any) any {
	switch value := value.(type) {
	case map[string]any:
		kept := make(map[string]any, len(value))
		for key, child := range value {
			if _, prose := child.(string); key == "description" && prose {
				continue
			}
			kept[key] = withoutProse(child)
		}
		return kept
	case []any:
		kept := make([]any, len(value))
		for i, child := range value {
			kept[i] = withoutProse(child)
		}
		return kept
	}
	return value
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
