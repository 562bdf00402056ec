# 1. Stop all API servers
systemctl stop kubelet
# 2. Remove existing etcd data
rm -rf /var/lib/etcd
# 3. Restore from snapshot
ETCDCTL_API=3 etcdctl snapshot restore /var/backups/etcd/etcd-snapshot-20240115_020000.db.gz \
  --data-dir=/var/lib/etcd \
  --name=master1 \
  --initial-cluster=master1=https://10.0.1.10:2380,master2=https://10.0.1.11:2380,master3=https://10.0.1.12:2380 \
  --initial-cluster-token=k8s-etcd-cluster \
  --initial-advertise-peer-urls=https://10.0.1.10:2380
# 4. Fix ownership
chown -R etcd:etcd /var/lib/etcd
# 5. Start etcd and API server
systemctl start kubelet
# 6. Verify cluster state
kubectl get nodes
kubectl get pods --all-namespaces
