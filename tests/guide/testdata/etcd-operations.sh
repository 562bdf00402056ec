# View all Kubernetes data in etcd
ETCDCTL_API=3 etcdctl get /registry --prefix --keys-only
# Get specific pod data
ETCDCTL_API=3 etcdctl get /registry/pods/default/my-pod
# Watch for changes to pods
ETCDCTL_API=3 etcdctl watch /registry/pods --prefix
# View cluster member list
ETCDCTL_API=3 etcdctl member list
