package main

import (
	"encoding/json"
	"fmt"
	"reflect"
	"sort"
	"strings"

	apiextv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/client-go/kubernetes/scheme"
)

type patchRequest struct {
	Original map[string]any `json:"original"`
	Modified map[string]any `json:"modified"`
	Live     map[string]any `json:"live"`
}

var patchOperations = map[string]operation{
	// How the lists of each type that Helm knows merge, a line a definition or a kind.
	"patch.schema": typed(func(struct{}) (any, error) { return patchSchema(), nil }),
	// What a strategic three-way merge makes of an object in the cluster.
	"patch.threeway": typed(patchThreeWay),
}

func patchScheme() *runtime.Scheme {
	known := runtime.NewScheme()
	_ = scheme.AddToScheme(known)
	_ = apiextv1.AddToScheme(known)
	return known
}

func patchThreeWay(r patchRequest) (any, error) {
	version, kind := fmt.Sprint(r.Modified["apiVersion"]), fmt.Sprint(r.Modified["kind"])
	object, err := patchScheme().New(schema.FromAPIVersionAndKind(version, kind))
	if err != nil {
		return nil, err
	}
	meta, err := strategicpatch.NewPatchMetaFromStruct(object)
	if err != nil {
		return nil, err
	}
	original, _ := json.Marshal(r.Original)
	modified, _ := json.Marshal(r.Modified)
	live, _ := json.Marshal(r.Live)
	patch, err := strategicpatch.CreateThreeWayMergePatch(original, modified, live, meta, true)
	if err != nil {
		return nil, err
	}
	merged, err := strategicpatch.StrategicMergePatchUsingLookupPatchMeta(live, patch, meta)
	return json.RawMessage(merged), err
}

// walker numbers the types in which something merges.
type walker struct {
	numbers map[reflect.Type]int
	lines   []string
}

func patchSchema() string {
	known := patchScheme()
	kinds := map[string]reflect.Type{}
	for gvk, kind := range known.AllKnownTypes() {
		if gvk.Version == runtime.APIVersionInternal || strings.HasSuffix(gvk.Kind, "List") && gvk.Kind != "List" {
			continue
		}
		if _, found := kind.FieldByName("ObjectMeta"); !found {
			continue
		}
		kinds[gvk.GroupVersion().String()+" "+gvk.Kind] = kind
	}
	names := make([]string, 0, len(kinds))
	for name := range kinds {
		names = append(names, name)
	}
	sort.Strings(names)
	w := walker{numbers: map[reflect.Type]int{}}
	var text []string
	for _, name := range names {
		number, merges := w.number(kinds[name])
		if merges {
			text = append(text, fmt.Sprintf("%s %d", name, number))
		} else {
			text = append(text, name)
		}
	}
	return strings.Join(w.lines, "\n") + "\n\n" + strings.Join(text, "\n") + "\n"
}

// number gives a type its number, if something in it merges.
func (w *walker) number(of reflect.Type) (int, bool) {
	if of.Kind() == reflect.Pointer {
		return w.number(of.Elem())
	}
	if of.Kind() != reflect.Struct {
		return 0, false
	}
	if number, found := w.numbers[of]; found {
		return number, number >= 0
	}
	// A type within itself is its own end.
	w.numbers[of] = -1
	fields := w.fields(of)
	if len(fields) == 0 {
		return 0, false
	}
	sort.Strings(fields)
	w.numbers[of] = len(w.lines)
	w.lines = append(w.lines, strings.Join(fields, " "))
	return w.numbers[of], true
}

// fields has `name`, `:target` and `=strategies;key` of each field that matters.
func (w *walker) fields(of reflect.Type) []string {
	var all []string
	for index := range of.NumField() {
		field := of.Field(index)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		if field.Anonymous && name == "" {
			inner := field.Type
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			if inner.Kind() == reflect.Struct {
				all = append(all, w.fields(inner)...)
			}
			continue
		}
		strategy, key := field.Tag.Get("patchStrategy"), field.Tag.Get("patchMergeKey")
		target := field.Type
		for target.Kind() == reflect.Pointer || target.Kind() == reflect.Slice {
			target = target.Elem()
		}
		number, merges := w.number(target)
		if strategy == "" && !merges {
			continue
		}
		text := name
		if merges {
			text += fmt.Sprintf(":%d", number)
		}
		if strategy != "" {
			text += "=" + strategy + ";" + key
		}
		all = append(all, text)
	}
	return all
}
