# Check API server health
curl -k https://127.0.0.1:6443/healthz
# Check etcd cluster health
ETCDCTL_API=3 etcdctl endpoint health
# Check certificates
openssl x509 -in /etc/kubernetes/pki/apiserver.crt -text -noout
# Check node status
kubectl describe node node-name
# Check kubelet logs
journalctl -u kubelet -f
# Check container runtime
systemctl status containerd
crictl info
# Check pod events
kubectl describe pod pod-name
# Check scheduler logs
kubectl logs -n kube-system kube-scheduler-master
# Check node resources
kubectl top nodes
# Check etcd metrics
curl http://127.0.0.1:2381/metrics
# Check etcd logs
journalctl -u etcd -f
# Monitor disk I/O
iostat -x 1
# Check controller manager logs
kubectl logs -n kube-system kube-controller-manager-master
# Check leader election
kubectl get leases -n kube-system
# Check RBAC permissions
