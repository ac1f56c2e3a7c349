package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
)

// incomplete asks a node whether all partitions have all their replicas, and returns what is missing, "" when nothing
// is.
func (c *client) incomplete(ctx context.Context) (string, error) {
	const shortAnswer = 4 << 10
	resp, err := c.do(ctx, &request{method: http.MethodGet, path: "/readyz", query: url.Values{"complete": {"true"}}})
	if err != nil {
		return err.Error(), ctx.Err()
	}
	defer resp.Body.Close()
	var answer struct {
		Status string `json:"status"`
	}
	err = json.NewDecoder(io.LimitReader(resp.Body, shortAnswer)).Decode(&answer)
	if err != nil || answer.Status != "complete" {
		return "the node asked does not know whether all replicas are there: is it of an older version?", nil
	}
	return "", nil
}
