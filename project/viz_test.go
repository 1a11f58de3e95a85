package project

import (
	"strings"
	"testing"
)

func TestViz(t *testing.T) {
	d := parseWish(t, []byte(`
network n
service db image=postgres
service web image=a<b needs=db,gone networks=n ports=8080:80
service side of=web`))
	got := Viz(d, VizOptions{Indent: "  "})
	want := `digraph "shop" {
  layout=dot;
  "db" [style="filled" label=<<font point-size="15">db</font>>];
  "side" [style="filled" label=<<font point-size="15">side</font>>];
  "web" [style="filled" label=<<font point-size="15">web</font>>];

  "side" -> "web";
  "web" -> "db";
}
`
	if got != want {
		t.Errorf("got %s", got)
	}
	all := Viz(d, VizOptions{Images: true, Networks: true, Ports: true})
	for _, part := range []string{"<b>Networks:</b><br/>n</font>", "<b>Ports:</b><br/>8080:80 (tcp, ingress)</font>", "<b>Image:</b><br/>a&lt;b</font>"} {
		if !strings.Contains(all, part) {
			t.Errorf("%q is not in %s", part, all)
		}
	}
}
