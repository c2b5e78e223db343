// Threshold-free cluster enhancement, one block a map: the positive elements are sorted, join one by one from the highest
// to the lowest as tfce.py tells, and sum from the roots up. Joining and summing are a warp's; all else is the block's.

constexpr int NONE = -1;

// A map's max-tree. Its nodes are the positive elements by rank: the highest is node 0, of equals the one that comes first.
// Index is short where the tree is in shared memory.
template <typename Index>
struct Tree {
    double* amount;  // of a node: its value; then the size of its cluster; then what it adds; then the sum down to the root
    Index* element;  // of a node
    Index* rank;     // of an element: its node, or NONE
    Index* parent;   // of a node: the one that eats its cluster, or NONE
    Index* link;     // of a node: another one of its cluster; of the cluster's leader: ~(the last node that joined)
};
template <typename Index>
__device__ __forceinline__ Tree<Index> placed(double* memory, int n_elements) {
    Index* indices = reinterpret_cast<Index*>(memory + n_elements);
    return {memory, indices, indices + n_elements, indices + 2 * n_elements, indices + 3 * n_elements};
}

// Puts the positive elements into the tree, in any order; `count` counts them.
template <typename Index>
__device__ __forceinline__ void gather(Tree<Index> tree, int* count, const double* map, int n_elements) {
    if (threadIdx.x == 0) *count = 0;
    __syncthreads();  // before elements are counted
    for (int element = threadIdx.x; element < n_elements; element += blockDim.x) {
        const double value = map[element];
        tree.rank[element] = NONE;
        if (value > 0) {
            const int node = atomicAdd(count, 1);
            tree.amount[node] = value;
            tree.element[node] = element;
        }
    }
    __syncthreads();  // before nodes are sorted
}

template <typename Index>
__device__ __forceinline__ void put_in_order(Tree<Index> tree, int low, int high) {
    const double value = tree.amount[low], other_value = tree.amount[high];
    const Index element = tree.element[low], other = tree.element[high];
    if (value > other_value || (value == other_value && element < other)) return;
    tree.amount[low] = other_value, tree.amount[high] = value;
    tree.element[low] = other, tree.element[high] = element;
}

// Batcher's bitonic network for any number of nodes: every pair puts the higher one first, so that those that would fill
// the nodes up to a power of two stay behind the last, and need not be there.
template <typename Index>
__device__ __forceinline__ void sort(Tree<Index> tree, int n_nodes) {
    for (int width = 2; width < 2 * n_nodes; width *= 2) {
        for (int apart = width / 2; apart > 0; apart /= 2) {
            const bool is_mirrored = apart == width / 2;  // the first with the last, to make of two slopes a bitonic row
            for (int pair = threadIdx.x; pair < n_nodes; pair += blockDim.x) {
                const int place = pair & (apart - 1), low = 2 * pair - place;
                const int high = is_mirrored ? low - place + width - 1 - place : low + apart;
                if (high < n_nodes) put_in_order(tree, low, high);
            }
            __syncthreads();  // before the next pairs are compared
        }
    }
}

template <typename Index>
__device__ __forceinline__ void number(Tree<Index> tree, int n_nodes) {
    for (int node = threadIdx.x; node < n_nodes; node += blockDim.x) {
        tree.rank[tree.element[node]] = node;
        tree.parent[node] = NONE;
    }
    __syncthreads();  // before nodes join
}

// By one warp: a node joins its neighbours before it, and is the parent of those that were the last in their clusters. A
// lane finds the cluster of a neighbour; clusters join in the order of neighbours. Links lead to the larger cluster's
// leader, so that the way there stays short without being cut.
template <typename Index>
__device__ __forceinline__ void join(Tree<Index> tree, int node, double size, const int* indices, int edge, int stop) {
    const int lane = threadIdx.x;
    int own = node;
    do {
        int leader = NONE, last = NONE;
        double its_size = 0;
        const int neighbour = edge + lane < stop ? tree.rank[indices[edge + lane]] : NONE;
        if (neighbour != NONE && neighbour < node) {
            leader = neighbour;
            while (tree.link[leader] >= 0) leader = tree.link[leader];
            last = ~tree.link[leader];
            its_size = tree.amount[last];
        }
        unsigned waiting = __ballot_sync(ALL_LANES, leader != NONE && leader != own);
        __syncwarp();  // before clusters join
        while (waiting != 0) {
            const int first = __ffs(waiting) - 1, other = __shfl_sync(ALL_LANES, leader, first);
            const int eaten = __shfl_sync(ALL_LANES, last, first);
            const double other_size = __shfl_sync(ALL_LANES, its_size, first);
            waiting &= ~__ballot_sync(ALL_LANES, leader == other);
            const bool other_leads = other_size > size;
            if (lane == 0) {
                tree.parent[eaten] = node;
                tree.link[other_leads ? own : other] = other_leads ? other : own;
            }
            if (other_leads) own = other;
            size += other_size;
        }
        if (lane == 0) {
            tree.link[own] = ~node;
            tree.amount[node] = size;
        }
        __syncwarp();  // before the next leaders are looked for
        edge += WARP;
    } while (edge < stop);
}

// By one warp: nodes join from the highest to the lowest. What they need of the graph is read for 32 of them at once.
template <typename Index>
__device__ __forceinline__ void grow(Tree<Index> tree, int n_nodes, const int* indptr, const int* indices,
                                     const double* sizes) {
    for (int first = 0; first < n_nodes; first += WARP) {
        const int n_joining = min((int)WARP, n_nodes - first);
        const int element = tree.element[first + min((int)threadIdx.x, n_joining - 1)];
        const int start = indptr[element], stop = indptr[element + 1];
        const double size = sizes[element];
        for (int i = 0; i < n_joining; ++i)
            join(tree, first + i, __shfl_sync(ALL_LANES, size, i), indices, __shfl_sync(ALL_LANES, start, i),
                 __shfl_sync(ALL_LANES, stop, i));
    }
}

// What a cluster of this size counts for, at every height.
__device__ __forceinline__ double weight(double size, double extent_power) {
    if (extent_power == 0.5) return sqrt(size);
    return extent_power == 1 ? size : pow(size, extent_power);
}

template <typename Index>
__device__ __forceinline__ void weigh(Tree<Index> tree, int n_nodes, const double* integral, double extent_power) {
    for (int node = threadIdx.x; node < n_nodes; node += blockDim.x) {
        const int parent = tree.parent[node];
        const double death = parent == NONE ? 0 : integral[tree.element[parent]];
        tree.amount[node] = weight(tree.amount[node], extent_power) * (integral[tree.element[node]] - death);
    }
    __syncthreads();  // before amounts are summed
}

// By one warp: 32 nodes at a time, the lowest first. Parents are lower; those within the 32 are followed by doubling.
template <typename Index>
__device__ __forceinline__ void sum_from_roots(Tree<Index> tree, int n_nodes) {
    const int lane = threadIdx.x;
    for (int first = (n_nodes - 1) / (int)WARP * (int)WARP; first >= 0; first -= WARP) {
        const int node = first + lane;
        int parent = node < n_nodes ? tree.parent[node] : NONE;
        double sum = node < n_nodes ? tree.amount[node] : 0;
        if (parent >= first + (int)WARP) {
            sum += tree.amount[parent];
            parent = NONE;
        }
        while (__any_sync(ALL_LANES, parent != NONE)) {
            const int from = parent == NONE ? lane : parent - first;
            const double above = __shfl_sync(ALL_LANES, sum, from);
            const int next = __shfl_sync(ALL_LANES, parent, from);
            if (parent != NONE) sum += above;
            parent = next;
        }
        if (node < n_nodes) tree.amount[node] = sum;
        __syncwarp();  // before higher nodes add these
    }
}

template <typename Index>
__device__ __forceinline__ void enhance(Tree<Index> tree, int* count, const double* map, const double* integral,
                                        const int* indptr, const int* indices, const double* sizes, double* enhanced,
                                        int n_elements, double extent_power) {
    gather(tree, count, map, n_elements);
    const int n_nodes = *count;
    sort(tree, n_nodes);
    number(tree, n_nodes);
    if (threadIdx.x < WARP) grow(tree, n_nodes, indptr, indices, sizes);
    __syncthreads();  // before the block sees the tree
    weigh(tree, n_nodes, integral, extent_power);
    if (threadIdx.x < WARP) sum_from_roots(tree, n_nodes);
    __syncthreads();  // before sums are written
    for (int element = threadIdx.x; element < n_elements; element += blockDim.x) {
        const int node = tree.rank[element];
        enhanced[element] = node == NONE ? 0 : tree.amount[node];
    }
}

// `work` is where the trees are that shared memory has no room for: three numbers an element, for each block.
extern "C" __global__ void __launch_bounds__(256) tfce_f64(
    const double* __restrict__ maps, const double* __restrict__ integrals, const int* __restrict__ indptr,
    const int* __restrict__ indices, const double* __restrict__ sizes, double* __restrict__ enhanced,
    double* __restrict__ work, int n_elements, double extent_power, bool is_in_shared) {
    extern __shared__ double shared[];
    int* count = reinterpret_cast<int*>(shared);
    const long long start = (long long)blockIdx.x * n_elements;
    if (is_in_shared) {
        enhance(placed<short>(shared + 1, n_elements), count, maps + start, integrals + start, indptr, indices, sizes,
                enhanced + start, n_elements, extent_power);
    } else {
        enhance(placed<int>(work + 3 * start, n_elements), count, maps + start, integrals + start, indptr, indices, sizes,
                enhanced + start, n_elements, extent_power);
    }
}
