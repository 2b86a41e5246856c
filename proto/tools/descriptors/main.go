// Writes the descriptors of Envoy's v3 API, and of all they import, as one FileDescriptorSet on stdout.
//
// The Go module is the source because its packages carry the descriptors of exactly one Envoy release, with the
// annotations (`udpa.annotations.sensitive` tells what a dump must hide), and no protoc is needed.
// imports.go, which links all packages of the module, is made by generate.sh and not kept.
package main

import (
	"log"
	"os"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

// wanted tells the roots of the closure. Everything else is in the set only because a root imports it; without this
// the registry would also give the files of grpc-go and of the v2 API.
func wanted(file protoreflect.FileDescriptor) bool {
	name := string(file.Package())
	if name == "udpa.type.v1" { // TypedStruct under its old name, which Envoy still accepts
		return true
	}
	return (strings.HasPrefix(name, "envoy.") || strings.HasPrefix(name, "xds.")) && hasSegment(name, "v3")
}

func hasSegment(name, segment string) bool {
	return slices.Contains(strings.Split(name, "."), segment)
}

func main() {
	log.SetFlags(0)
	var roots []protoreflect.FileDescriptor
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if wanted(file) {
			roots = append(roots, file)
		}
		return true
	})
	// The registry ranges over a Go map: without an order two runs would give different bytes.
	slices.SortFunc(roots, func(a, b protoreflect.FileDescriptor) int { return strings.Compare(a.Path(), b.Path()) })

	set := &descriptorpb.FileDescriptorSet{}
	seen := map[string]bool{}
	for _, file := range roots {
		add(set, seen, file)
	}
	bytes, err := proto.MarshalOptions{Deterministic: true}.Marshal(set)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := os.Stdout.Write(bytes); err != nil {
		log.Fatal(err)
	}
	log.Printf("%d files (%d roots), %d bytes", len(set.File), len(roots), len(bytes))
}

// add puts a file behind all that it imports, which is the order decoders of a set rely on.
func add(set *descriptorpb.FileDescriptorSet, seen map[string]bool, file protoreflect.FileDescriptor) {
	if seen[file.Path()] {
		return
	}
	seen[file.Path()] = true
	imports := file.Imports()
	order := make([]protoreflect.FileDescriptor, 0, imports.Len())
	for i := range imports.Len() {
		// A placeholder is an import whose Go package is not linked: the set would not decode.
		if imports.Get(i).IsPlaceholder() {
			log.Fatalf("%s imports %s, which no linked package registers", file.Path(), imports.Get(i).Path())
		}
		order = append(order, imports.Get(i).FileDescriptor)
	}
	slices.SortFunc(order, func(a, b protoreflect.FileDescriptor) int { return strings.Compare(a.Path(), b.Path()) })
	for _, dependency := range order {
		add(set, seen, dependency)
	}
	// protoc-gen-go has dropped comments and positions already; cleared again so that a change there cannot grow the set.
	out := protodesc.ToFileDescriptorProto(file)
	out.SourceCodeInfo = nil
	set.File = append(set.File, out)
}
