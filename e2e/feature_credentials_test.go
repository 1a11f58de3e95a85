package e2e

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// A registry that asks who one is gets the answer from the folder that DOCKER_CONFIG names.
func TestPullsWithCredentialsOfDockersConfig(t *testing.T) {
	r := newRegistry(t)
	r.push("shop/secret:1", derived(t, v1.Config{Env: []string{"A=1"}}))
	behind, err := url.Parse("http://" + r.host)
	if err != nil {
		t.Fatal(err)
	}
	guard := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if user, password, ok := q.BasicAuth(); !ok || user != "me" || password != "let me in" {
			w.Header().Set("WWW-Authenticate", `Basic realm="shop"`)
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED"}]}`, http.StatusUnauthorized)
			return
		}
		q.URL.Scheme, q.URL.Host, q.RequestURI = behind.Scheme, behind.Host, ""
		res, err := http.DefaultTransport.RoundTrip(q)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer res.Body.Close()
		for k, v := range res.Header {
			w.Header()[k] = v
		}
		w.WriteHeader(res.StatusCode)
		io.Copy(w, res.Body)
	}))
	t.Cleanup(guard.Close)
	host := guard.Listener.Addr().String()
	ref := host + "/shop/secret:1"
	s := newStack(t, "services: {a: {image: "+ref+", command: x}}", "docker/config.json",
		fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, host, base64.StdEncoding.EncodeToString([]byte("me:let me in"))))
	contains(t, s.fails(1, "up", "--no-start"), ref)
	s.with("DOCKER_CONFIG="+s.dir+"/docker").podc("up", "--no-start")
	if got := s.names("p"); len(got) != 1 {
		t.Errorf("there are %q", got)
	}
}
