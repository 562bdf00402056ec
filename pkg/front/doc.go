// Package front is the one TLS listener of a server: kelp's own paths, and
// the Kubernetes API for everything else.
//
//	/v1-kelp/…   what other packages register with Handle
//	/cacerts     the authority that signed the serving certificate, PEM
//	/ping        "pong"
//	…            the API, from the moment its handler arrives
//
// Its main type is Front. It guarantees that a client that says nothing is
// cut after ten seconds, that a renewed serving certificate is used from the
// next handshake on, that a stranger's SNI or Host changes nothing, and that
// stopping ends every connection within three seconds, hijacked ones too.
//
// What upstream makes difficult: the API server wants to own its listener.
// It gets one that never accepts, and its handler is called from here.
package front
