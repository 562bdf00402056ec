// Package marks keeps the labels and taints of this node that are in the
// configuration.
//
// The kubelet registers a node with them and never looks at them again. So what
// was configured last is noted in an annotation of the Node, and when the
// configuration says something else, the difference is made: what others have
// added stays, and so does what others have taken away. The kubelet's own
// identity may not change taints; that of the network may.
package marks
