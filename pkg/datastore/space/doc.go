// Package space keeps the datastore from filling up: it watches its size and the
// disk's, gives free space of etcd's database back, and lifts etcd's alarm when
// there is room again. The API server itself drops old revisions, every five
// minutes.
package space
