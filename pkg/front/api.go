package front

import (
	"context"
	"crypto/tls"
	"net/http"
)

// API is the Kubernetes API as the listener needs it.
type API struct {
	// Handler serves every path that is not kelp's.
	Handler http.Handler
	// Context ends when the API stops: requests that are under way then,
	// such as watches, are ended.
	Context context.Context
	// Certificate returns the certificate for a server name, and nil for
	// the one that Front serves: the API's client of itself has a name and a
	// certificate of its own.
	Certificate func(serverName string) *tls.Certificate
	// MinVersion, CipherSuites and Curves are tls.Config's, zero for the
	// defaults. They follow from the user's arguments for the API server.
	MinVersion   uint16
	CipherSuites []uint16
	Curves       []tls.CurveID
}
