"Benchmarks of mnist_small: `python -m benchmarks`."
