package join

// ControlPlane is the label of a server's Node. It is what kubectl shows as the
// node's role, and what manifests select servers by: guides' do by its value, which is
// empty. A kubelet may not set it itself.
const ControlPlane = "node-role.kubernetes.io/control-plane"
