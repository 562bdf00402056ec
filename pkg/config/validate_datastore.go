package config

import (
	"net/url"
	"path/filepath"
	"strings"
)

// ExternalEtcd says whether the endpoint is an etcd cluster, and not an SQL
// database.
func (d Datastore) ExternalEtcd() bool {
	return strings.HasPrefix(d.Endpoint, "https://") || strings.HasPrefix(d.Endpoint, "http://")
}

// EtcdURLs are the endpoint's, one per member.
func (d Datastore) EtcdURLs() []string {
	var urls []string
	for _, text := range strings.Split(d.Endpoint, ",") {
		urls = append(urls, strings.TrimRight(strings.TrimSpace(text), "/"))
	}
	return urls
}

func (k *checker) datastore() {
	d := k.cfg.Datastore
	switch {
	case d.Kind == DatastoreExternal && d.Endpoint == "":
		k.addf("datastore.kind", "is external, and datastore.endpoint does not say where it is")
	case d.Kind != DatastoreExternal && d.Kind != DatastoreAuto && d.Endpoint != "":
		k.between("datastore.endpoint", "datastore.kind", "is set, and datastore.kind is "+string(d.Kind), "is "+string(d.Kind)+", and datastore.endpoint is set", "leave one of them out")
	}
	if d.Kind != DatastoreEtcd && d.Kind != DatastoreAuto && len(k.cfg.Args.Etcd) > 0 {
		k.addf("args.etcd", "kelp runs no etcd with datastore.kind %s (%s)", d.Kind, k.origins["datastore.kind"])
	}
	for _, f := range []struct{ path, value string }{
		{"datastore.caFile", d.CAFile}, {"datastore.certFile", d.CertFile}, {"datastore.keyFile", d.KeyFile},
	} {
		switch {
		case f.value == "":
		case d.Endpoint == "":
			k.addf(f.path, "is for an external datastore, and datastore.endpoint is not set")
		case !filepath.IsAbs(f.value):
			k.addf(f.path, "%q is not an absolute path", f.value)
		}
	}
	if (d.CertFile == "") != (d.KeyFile == "") {
		k.addf("datastore.certFile", "a certificate and its key, datastore.keyFile, go together")
	}
	k.endpoint()
}

// endpoint checks the form without repeating it: it may hold a password.
func (k *checker) endpoint() {
	d := k.cfg.Datastore
	const forms = "give etcd as https://host:2379, or postgres://user:password@host:5432/database, or mysql://user:password@tcp(host:3306)/database"
	switch scheme, rest, found := strings.Cut(d.Endpoint, "://"); {
	case d.Endpoint == "":
	case !found || rest == "":
		k.addf("datastore.endpoint", "has no scheme: %s", forms)
	case d.ExternalEtcd():
		for _, text := range d.EtcdURLs() {
			if u, err := url.Parse(text); err != nil || u.Host == "" || u.Path != "" || u.User != nil || u.Scheme != scheme {
				k.addf("datastore.endpoint", "etcd's members are given as %s://host:2379, with commas between them", scheme)
				break
			}
		}
	case scheme != "postgres" && scheme != "postgresql" && scheme != "mysql":
		k.addf("datastore.endpoint", "there is no datastore %s: %s", scheme, forms)
	}
}
