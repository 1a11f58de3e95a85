package project

import (
	"encoding"
	"encoding/json"
	"reflect"
	"testing"
)

// What a client asks for crosses process boundaries: it holds nothing that cannot be written down and read again.
func TestWishesArePlainData(t *testing.T) {
	for _, v := range []any{Desired{}, UpOptions{}, DownOptions{}, StartOptions{}, StopOptions{}, RestartOptions{}, KillOptions{}, PauseOptions{},
		RemoveOptions{}, Key{}, Reason{}, Prepare{}} {
		typ := reflect.TypeOf(v)
		plainData(t, typ, typ.Name(), map[reflect.Type]bool{})
	}
}

func plainData(t *testing.T, typ reflect.Type, path string, seen map[reflect.Type]bool) {
	if seen[typ] || marshals(typ) {
		return
	}
	seen[typ] = true
	switch typ.Kind() {
	case reflect.Func, reflect.Chan, reflect.Interface, reflect.UnsafePointer, reflect.Uintptr, reflect.Complex64, reflect.Complex128:
		t.Errorf("%s is a %s", path, typ)
	case reflect.Pointer, reflect.Slice, reflect.Array:
		plainData(t, typ.Elem(), path, seen)
	case reflect.Map:
		plainData(t, typ.Key(), path+" (key)", seen)
		plainData(t, typ.Elem(), path, seen)
	case reflect.Struct:
		for f := range typ.Fields() {
			switch {
			case !f.IsExported():
				t.Errorf("%s.%s is not exported", path, f.Name)
			case path+"."+f.Name == "Desired.Services.Pod.Container.Files.Content": // may be secret, and travels in LoadReply.Contents
			case f.Tag.Get("json") == "-":
				t.Errorf("%s.%s does not travel", path, f.Name)
			default:
				plainData(t, f.Type, path+"."+f.Name, seen)
			}
		}
	}
}

// marshals reports whether a type writes and reads itself.
func marshals(typ reflect.Type) bool {
	p := reflect.PointerTo(typ)
	both := func(write, read any) bool {
		return p.Implements(reflect.TypeOf(write).Elem()) && p.Implements(reflect.TypeOf(read).Elem())
	}
	return both((*encoding.TextMarshaler)(nil), (*encoding.TextUnmarshaler)(nil)) || both((*json.Marshaler)(nil), (*json.Unmarshaler)(nil))
}
