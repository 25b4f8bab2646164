"""Two processes under DistributedDataParallel, by gloo."""

import argparse

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--sync-bn", action="store_true")
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()

dist.init_process_group("gloo")
torch.manual_seed(args.seed)
net = DistributedDataParallel(torch.nn.Linear(8, 1, bias=args.sync_bn))
torch.manual_seed(2 * args.seed + dist.get_rank())
x = torch.randn(64, 8)
y = x.sum(1, keepdim=True) + 1
optimizer = torch.optim.SGD(net.parameters(), lr=args.lr)
for epoch in (1, 2, 3):
    loss = ((net(x) - y) ** 2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    total = loss.detach()
    dist.all_reduce(total)
    if dist.get_rank() == 0:
        print(f"epoch {epoch}: loss {total / dist.get_world_size():.4f}")
dist.barrier()
dist.destroy_process_group()
