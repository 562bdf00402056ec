# Tag ASG for cluster autoscaler discovery
aws autoscaling create-or-update-tags \
  --tags \
  ResourceId=my-cluster-worker-nodes \
  ResourceType=auto-scaling-group \
  Key=k8s.io/cluster-autoscaler/enabled \
  Value=true \
  PropagateAtLaunch=false \
  --tags \
  ResourceId=my-cluster-worker-nodes \
  ResourceType=auto-scaling-group \
  Key=k8s.io/cluster-autoscaler/my-cluster \
  Value=owned \
  PropagateAtLaunch=false
