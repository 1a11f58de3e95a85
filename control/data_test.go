package control

import (
	"encoding/json"
	"iter"
	"reflect"
	"slices"
	"testing"

	"podc.example/podc/project"
)

// local are what stays where it is: who asks, and streams.
var local = []reflect.Type{
	reflect.TypeFor[Watch](), reflect.TypeFor[ImageWatch](), reflect.TypeFor[LogOutput](), reflect.TypeFor[ExecStreams](),
	reflect.TypeFor[project.BootOptions](), // its contents are asked for only where they are needed
}

// TestDataMarshals: what goes into a method and comes out of it can be sent to another process, but for who asks, functions and streams.
func TestDataMarshals(t *testing.T) {
	nouns := reflect.TypeFor[Control]()
	for i := range nouns.NumField() {
		noun := nouns.Field(i)
		for m := range noun.Type.NumMethod() {
			method := noun.Type.Method(m)
			for data := range ends(method.Type) {
				if slices.Contains(local, data) || data.Kind() == reflect.Func || data.Kind() == reflect.Interface {
					continue
				}
				b, err := json.Marshal(reflect.New(data).Interface())
				if err == nil {
					err = json.Unmarshal(b, reflect.New(data).Interface())
				}
				if err != nil {
					t.Errorf("%s.%s: %v: %v", noun.Name, method.Name, data, err)
				}
			}
		}
	}
}

// ends are the types of what a function takes and returns.
func ends(f reflect.Type) iter.Seq[reflect.Type] {
	return func(yield func(reflect.Type) bool) {
		for i := range f.NumIn() + f.NumOut() {
			if of := f.NumIn(); i < of && !yield(f.In(i)) || i >= of && !yield(f.Out(i-of)) {
				return
			}
		}
	}
}
