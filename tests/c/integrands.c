/* Integrands for tests/test_pointer.py, in each form that fs.Integrand documents.
 *
 * f(x) = shift + sum of weights[k] x_k^2 + x_first x_last.  user_data points to the shift, which
 * the weights follow; without it they are 2 and 1/(k + 1).
 */
#include <math.h>
#include <stdint.h>

#ifdef _WIN32
#define EXPORT __declspec(dllexport)
#else
#define EXPORT
#endif

#define INTEGRANDS(T)                                                                             \
    static double value_##T(int d, const T *x, const double *data)                               \
    {                                                                                             \
        double total = data ? data[0] : 2.0;                                                      \
        for (int k = 0; k < d; k++)                                                               \
            total += (data ? data[1 + k] : 1.0 / (k + 1)) * (double)x[k] * (double)x[k];          \
        return total + (double)x[0] * (double)x[d - 1];                                           \
    }                                                                                             \
                                                                                                  \
    EXPORT double sample_##T(int d, const T *x) { return value_##T(d, x, 0); }                    \
                                                                                                  \
    EXPORT double sample_data_##T(int d, const T *x, void *data)                                  \
    {                                                                                             \
        return value_##T(d, x, data);                                                             \
    }                                                                                             \
                                                                                                  \
    EXPORT void batch_##T(int64_t rows, int d, const T *x, double *out)                           \
    {                                                                                             \
        for (int64_t i = 0; i < rows; i++)                                                        \
            out[i] = value_##T(d, x + i * d, 0);                                                  \
    }                                                                                             \
                                                                                                  \
    EXPORT void batch_data_##T(int64_t rows, int d, const T *x, double *out, void *data)          \
    {                                                                                             \
        for (int64_t i = 0; i < rows; i++)                                                        \
            out[i] = value_##T(d, x + i * d, data);                                               \
    }                                                                                             \
                                                                                                  \
    /* Not a number where the first coordinate is positive. */                                    \
    EXPORT double holed_##T(int d, const T *x)                                                    \
    {                                                                                             \
        return x[0] > 0 ? NAN : value_##T(d, x, 0);                                               \
    }

INTEGRANDS(double)
INTEGRANDS(int64_t)
