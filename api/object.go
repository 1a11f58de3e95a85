package api

import "time"

// Object is one secret or config.
type Object struct {
	ID      string            `json:"id"`
	Name    string            `json:"name"`
	Created time.Time         `json:"created"`
	Labels  map[string]string `json:"labels,omitempty"`
	Data    []byte            `json:"data"`
}
