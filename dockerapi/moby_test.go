package dockerapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/api/types/volume"
)

// TestShapesAreMobys: what podc writes, moby's types read without a field left over, and write again without a field more. It
// is held for values with every field set, and for zero values, which show what is left out.
func TestShapesAreMobys(t *testing.T) {
	check[container.InspectResponse](t, Container{})
	check[network.Inspect](t, Network{})
	check[volume.Volume](t, Volume{})
	check[image.InspectResponse](t, Image{})
	check[image.HistoryResponseItem](t, ImageHistory{})
}

func check[Moby, Own any](t *testing.T, zero Own) {
	t.Run(fmt.Sprintf("%T", zero), func(t *testing.T) {
		full := zero
		fill(reflect.ValueOf(&full).Elem(), "")
		for _, own := range []Own{zero, full} {
			ours, err := json.MarshalIndent(own, "", " ")
			if err != nil {
				t.Fatal(err)
			}
			var moby Moby
			dec := json.NewDecoder(bytes.NewReader(ours))
			dec.DisallowUnknownFields()
			if err := dec.Decode(&moby); err != nil {
				t.Fatalf("moby cannot read it: %v\n%s", err, ours)
			}
			theirs, err := json.MarshalIndent(moby, "", " ")
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(ours, theirs) {
				t.Errorf("moby writes it otherwise:\n%s\nours:\n%s", theirs, ours)
			}
		}
	})
}

// texts are what strings must hold that have a form, by field; those of an endpoint in a network are prefixes.
var texts = map[string]string{"MacAddress": "02:00:00:00:00:01", "IP": "10.0.0.1", "HostIP": "10.0.0.1", "DNS": "10.0.0.1",
	"Gateway": "10.0.0.1", "IPAddress": "10.0.0.1", "IPv6Gateway": "10.0.0.1", "GlobalIPv6Address": "10.0.0.1",
	"LinkLocalIPs": "10.0.0.1", "AuxAddress": "10.0.0.1", "Subnet": "10.0.0.0/24", "IPRange": "10.0.0.0/24",
	"EndpointIPAM.IPv4Address": "10.0.0.1", "EndpointIPAM.IPv6Address": "10.0.0.1",
	"EndpointResource.IPv4Address": "10.0.0.0/24", "EndpointResource.IPv6Address": "10.0.0.0/24"}

// fill sets every field of v to something that its kind allows.
func fill(v reflect.Value, name string) {
	switch at := v.Addr().Interface().(type) {
	case *time.Time:
		*at = time.Unix(1, 0).UTC()
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(texts[name])
		if texts[name] == "" {
			v.SetString("x")
		}
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(1)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), name)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), name)
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), name)
		}
	case reflect.Map:
		// A port: the one kind of key that must have a form.
		key, value := reflect.ValueOf("80/tcp"), reflect.New(v.Type().Elem()).Elem()
		fill(value, name)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Struct:
		for i := range v.NumField() {
			field := v.Type().Field(i).Name
			if qualified := v.Type().Name() + "." + field; texts[qualified] != "" {
				field = qualified
			}
			fill(v.Field(i), field)
		}
	default:
		panic("no value for " + v.Type().String())
	}
}
