// Clusters of a map above a threshold, one block a map. Each element's label is the lowest place known of its cluster; labels
// fall, along neighbours and along labels of labels, until none does. Then the element that a cluster is labelled by adds it
// up, in the order of places.

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

// `work` is where the labels are that shared memory has no room for: two an element, for each block.
extern "C" __global__ void __launch_bounds__(256) clusters_f64(
    const double* __restrict__ maps, const int* __restrict__ indptr, const int* __restrict__ indices,
    const double* __restrict__ sizes, double* __restrict__ extents, double* __restrict__ masses, int* __restrict__ work,
    double threshold, int n_elements, bool is_in_shared) {
    extern __shared__ int shared[];
    const long long start = (long long)blockIdx.x * n_elements;
    int* memory = is_in_shared ? shared : work + 2 * start;
    const Labels labels = {memory, memory + n_elements};
    find_members(labels, maps + start, threshold, n_elements);
    do lower(labels, indptr, indices, n_elements);
    while (follow(labels, n_elements));
    for (int first = threadIdx.x; first < n_elements; first += blockDim.x) {
        double extent = 0, mass = 0;
        if (labels.now[first] == first) {
            for (int element = first; element < n_elements; ++element) {
                if (labels.now[element] != first) continue;
                extent += sizes[element];
                mass += maps[start + element];
            }
        } else if (labels.now[first] != OUTSIDE) continue;
        extents[start + first] = extent;
        masses[start + first] = mass;
    }
    __syncthreads();  // before sums are read
    for (int element = threadIdx.x; element < n_elements; element += blockDim.x) {
        const int label = labels.now[element];
        if (label == OUTSIDE || label == element) continue;
        extents[start + element] = extents[start + label];
        masses[start + element] = masses[start + label];
    }
}
