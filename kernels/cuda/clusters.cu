// Clusters of a map above a threshold, one block a map. Each element's label is the lowest place known of its cluster; labels
// fall, along neighbours and along labels of labels, until none does. Then clusters are added up in the order of places.

constexpr int OUTSIDE = -1;

// Labels as they are, and as they are next. Only integers are shared between threads, and minima do not depend on their
// order, so neither do labels.
struct Labels {
    int *now, *next;
};

__device__ __forceinline__ void find_members(Labels labels, const double* map, double threshold, int n_elements) {
    for (int element = threadIdx.x; element < n_elements; element += blockDim.x)
        labels.now[element] = labels.next[element] = map[element] >= threshold ? element : OUTSIDE;
    __syncthreads();  // before labels are compared
}

// Lowers the next label of each element, and of the element that it is labelled by, to the lowest of its neighbours'.
__device__ __forceinline__ void lower(Labels labels, const int* indptr, const int* indices, int n_elements) {
    for (int element = threadIdx.x; element < n_elements; element += blockDim.x) {
        const int label = labels.now[element];
        if (label == OUTSIDE) continue;
        int lowest = label;
        for (int edge = indptr[element]; edge < indptr[element + 1]; ++edge) {
            const int other = labels.now[indices[edge]];
            if (other != OUTSIDE) lowest = min(lowest, other);
        }
        if (lowest == label) continue;
        atomicMin(&labels.next[element], lowest);
        atomicMin(&labels.next[label], lowest);
    }
    __syncthreads();  // before labels are followed
}

// Takes over the label of the next label; whether any changed.
__device__ __forceinline__ bool follow(Labels labels, int n_elements) {
    bool is_changed = false;
    for (int element = threadIdx.x; element < n_elements; element += blockDim.x) {
        if (labels.now[element] == OUTSIDE) continue;
        const int label = labels.next[labels.next[element]];
        is_changed |= label != labels.now[element];
        labels.now[element] = label;
    }
    is_changed = __syncthreads_or(is_changed);
    for (int element = threadIdx.x; element < n_elements; element += blockDim.x)
        labels.next[element] = labels.now[element];
    __syncthreads();  // before labels are compared again
    return is_changed;
}

// By one warp, 32 elements at a time: each adds up those of its cluster among them, and the first one keeps the sums, where
// the label says.
__device__ __forceinline__ void add_up(Labels labels, const double* map, const double* sizes, double* extents,
                                       double* masses, int n_elements) {
    const int lane = threadIdx.x;
    for (int first = 0; first < n_elements; first += WARP) {
        const int element = first + lane, label = element < n_elements ? labels.now[element] : OUTSIDE;
        if (!__any_sync(ALL_LANES, label != OUTSIDE)) continue;
        const bool is_inside = label != OUTSIDE;
        const double size = is_inside ? sizes[element] : 0, value = is_inside ? map[element] : 0;
        double extent = is_inside ? extents[label] : 0, mass = is_inside ? masses[label] : 0;
        bool is_first = is_inside;
        for (int other = 0; other < WARP; ++other) {
            const int its_label = __shfl_sync(ALL_LANES, label, other);
            const double its_size = __shfl_sync(ALL_LANES, size, other), its_value = __shfl_sync(ALL_LANES, value, other);
            if (its_label != label) continue;
            extent += its_size;
            mass += its_value;
            if (other < lane) is_first = false;
        }
        __syncwarp();  // before sums are kept
        if (is_first) {
            extents[label] = extent;
            masses[label] = mass;
        }
        __syncwarp();  // before more is added to them
    }
}

// `work` is where the labels are that shared memory has no room for: two an element, for each block.
extern "C" __global__ void __launch_bounds__(256) clusters_f64(
    const double* __restrict__ maps, const int* __restrict__ indptr, const int* __restrict__ indices,
    const double* __restrict__ sizes, double* __restrict__ extents, double* __restrict__ masses, int* __restrict__ work,
    double threshold, int n_elements, bool is_in_shared) {
    extern __shared__ int shared[];
    const long long start = (long long)blockIdx.x * n_elements;
    int* memory = is_in_shared ? shared : work + 2 * start;
    const Labels labels = {memory, memory + n_elements};
    double *extent = extents + start, *mass = masses + start;
    for (int element = threadIdx.x; element < n_elements; element += blockDim.x) extent[element] = mass[element] = 0;
    find_members(labels, maps + start, threshold, n_elements);
    do lower(labels, indptr, indices, n_elements);
    while (follow(labels, n_elements));
    if (threadIdx.x < WARP) add_up(labels, maps + start, sizes, extent, mass, n_elements);
    __syncthreads();  // before members are told
    for (int element = threadIdx.x; element < n_elements; element += blockDim.x) {
        const int label = labels.now[element];
        if (label == OUTSIDE || label == element) continue;
        extent[element] = extent[label];
        mass[element] = mass[label];
    }
}
