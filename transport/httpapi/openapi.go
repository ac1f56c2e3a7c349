package httpapi

import (
	_ "embed"
	"net/http"
)

// openAPI describes every route of this package for machines. A test holds the two
// together.
//
//go:embed openapi.json
var openAPI []byte

func (x *exchange) getOpenAPI() { x.sendJSON(http.StatusOK, openAPI) }
