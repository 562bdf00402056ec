// Package servicelb makes Services of type LoadBalancer work with no pods:
// it writes nodes' addresses into their status, and kube-proxy on each node
// sends what comes in at such an address to the endpoints.
//
//	Services, Nodes, EndpointSlices ─► decide (pure) ─► status, event
//
// A port of a node can be given to one Service only. One that another Service,
// a pod's host port, kelp itself or a process of the node has already is
// refused with a Warning event, PortTaken, and the Service gets an address as
// soon as the port is free. Services with a loadBalancerClass other than
// kelp.io/servicelb are left to others.
package servicelb
