/* test_numa.c - placement on memory nodes, on machines that exist on paper only.
 * SPDX-License-Identifier: MIT */
#include "engine/step.h"
#include "tests/support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const bundled = QUERN_SOURCE_DIR "/models/bundled/books-7m-q8_0.gguf";

/* Nodes with that many CPUs each, numbered on. */
static struct numa_topology make_topology(const unsigned *n_cpus, unsigned n_nodes) {
    struct numa_topology t = { .n_nodes = n_nodes };
    unsigned cpu = 0;
    for (unsigned i = 0; i < n_nodes; i++) {
        t.nodes[i] =
            (struct numa_node){ .id = (int)(2 * i), .n_cpus = n_cpus[i], .free_bytes = 1000000 * (i + 1) };
        for (unsigned k = 0; k < n_cpus[i]; k++, cpu++)
            t.nodes[i].cpus[cpu / 64] |= (uint64_t)1 << cpu % 64;
    }
    return t;
}

/* A machine, and how many of n_threads threads go to each node. */
static const struct machine {
    unsigned n_nodes, n_cpus[8], n_threads, want[8];
} machines[] = {
    { 1, { 4 }, 4, { 4 } },
    { 1, { 4 }, 9, { 9 } },
    { 2, { 8, 8 }, 16, { 8, 8 } },
    { 2, { 8, 8 }, 5, { 3, 2 } },
    { 2, { 8, 8 }, 1, { 1, 0 } },
    { 2, { 6, 2 }, 8, { 6, 2 } },
    { 2, { 2, 6 }, 6, { 2, 4 } },
    { 2, { 1, 1 }, 7, { 4, 3 } },
    { 4, { 4, 4, 4, 4 }, 16, { 4, 4, 4, 4 } },
    { 4, { 1, 2, 3, 4 }, 10, { 1, 2, 3, 4 } },
    { 4, { 1, 2, 3, 4 }, 7, { 1, 2, 2, 2 } },
    { 8, { 8, 8, 8, 8, 8, 8, 8, 8 }, 64, { 8, 8, 8, 8, 8, 8, 8, 8 } },
    { 8, { 8, 1, 8, 1, 8, 1, 8, 1 }, 20, { 4, 1, 4, 1, 4, 1, 4, 1 } },
};
enum { N_MACHINES = sizeof machines / sizeof *machines };

static unsigned threads_on(const struct numa_plan *plan, unsigned node) {
    unsigned n = 0;
    for (unsigned i = 0; i < plan->n_threads; i++)
        n += plan->node_of_thread[i] == node;
    return n;
}

static void threads_go_round_robin_until_a_node_is_full(void **state) {
    (void)state;
    for (size_t i = 0; i < N_MACHINES; i++) {
        const struct machine *m = &machines[i];
        struct numa_topology t = make_topology(m->n_cpus, m->n_nodes);
        struct numa_plan plan;
        numa_plan(&t, QUERN_NUMA_DISTRIBUTE, m->n_threads, &plan);
        for (unsigned node = 0; node < m->n_nodes; node++)
            if (threads_on(&plan, node) != m->want[node])
                fail_msg("machine %zu: node %u has %u threads, expected %u", i, node, threads_on(&plan, node),
                         m->want[node]);
    }
}

static void a_smaller_team_is_placed_as_the_first_of_a_larger(void **state) {
    (void)state;
    for (size_t i = 0; i < N_MACHINES; i++) {
        struct numa_topology t = make_topology(machines[i].n_cpus, machines[i].n_nodes);
        struct numa_plan large, small;
        numa_plan(&t, QUERN_NUMA_MIRROR, 2 * machines[i].n_threads, &large);
        numa_plan(&t, QUERN_NUMA_MIRROR, machines[i].n_threads, &small);
        assert_memory_equal(small.node_of_thread, large.node_of_thread, machines[i].n_threads);
    }
}

static void shards_cover_all_rows_in_proportion_to_threads(void **state) {
    (void)state;
    static const size_t n_rows[] = { 1, 63, 64, 65, 256, 1000, 4096, 14336, 128256 };
    enum { UNIT = 64 };
    for (size_t i = 0; i < N_MACHINES; i++)
        for (size_t j = 0; j < sizeof n_rows / sizeof *n_rows; j++) {
            struct numa_topology t = make_topology(machines[i].n_cpus, machines[i].n_nodes);
            struct numa_plan plan;
            size_t at = 0;
            numa_plan(&t, QUERN_NUMA_DISTRIBUTE, machines[i].n_threads, &plan);
            for (unsigned node = 0; node < plan.n_nodes; node++) {
                size_t begin, end;
                numa_shard(&plan, node, n_rows[j], UNIT, &begin, &end);
                assert_int_equal(begin, at);
                assert_true(begin <= end && end <= n_rows[j]);
                assert_true((begin % UNIT == 0 || begin == n_rows[j]) &&
                            (end % UNIT == 0 || end == n_rows[j]));
                double fair = (double)n_rows[j] * threads_on(&plan, node) / plan.n_threads;
                assert_true((double)(end - begin) > fair - 2 * UNIT &&
                            (double)(end - begin) < fair + 2 * UNIT);
                at = end;
            }
            assert_int_equal(at, n_rows[j]);
        }
}

static void isolation_uses_the_node_of_the_start_alone(void **state) {
    (void)state;
    struct numa_topology t = make_topology((const unsigned[]){ 4, 6, 8 }, 3);
    struct numa_plan plan;
    size_t begin, end;
    t.start = 1;
    numa_plan(&t, QUERN_NUMA_ISOLATE, 9, &plan);
    assert_int_equal(threads_on(&plan, 1), 9);
    assert_int_equal(numa_n_cpus(&t, QUERN_NUMA_ISOLATE), 6);
    assert_int_equal(numa_n_cpus(&t, QUERN_NUMA_DISTRIBUTE), 18);
    numa_shard(&plan, 0, 1000, 64, &begin, &end);
    assert_true(begin == 0 && end == 1000);
}

static void a_mirror_without_room_is_refused_with_the_bytes(void **state) {
    (void)state;
    struct numa_topology t = make_topology((const unsigned[]){ 4, 4 }, 2);
    struct quern_error err;
    assert_int_equal(numa_check_mirror(&t, 1000000, &err), QUERN_OK);
    t.nodes[1].free_bytes = 999999;
    assert_int_equal(numa_check_mirror(&t, 1000000, &err), QUERN_MEMORY);
    if (!strstr(err.text, "1000000 bytes") || !strstr(err.text, "node 2 has 999999 free"))
        fail_msg("%s", err.text);
}

static void what_was_done_is_said(void **state) {
    (void)state;
    static const struct {
        enum quern_numa mode;
        unsigned n_nodes;
        const char *says;
    } cases[] = {
        { QUERN_NUMA_DISTRIBUTE, 1, "the machine has one node, nothing to place" },
        { QUERN_NUMA_DISTRIBUTE, 2,
          "distribute: rows shared over 2 nodes; node 0: 3 threads, 4 CPUs; node 2: 2 threads, 4 CPUs" },
        { QUERN_NUMA_ISOLATE, 2, "isolate: all on node 0; node 0: 5 threads, 4 CPUs" },
        { QUERN_NUMA_MIRROR, 2,
          "mirror: a copy of the weights on each of 2 nodes; node 0: 3 threads, 4 CPUs; node 2: 2 threads, 4 "
          "CPUs" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct numa_topology t = make_topology((const unsigned[]){ 4, 4 }, cases[i].n_nodes);
        struct numa_plan plan;
        char text[256];
        numa_plan(&t, cases[i].mode, 5, &plan);
        numa_describe(&t, cases[i].mode, &plan, text, sizeof text);
        assert_string_equal(text, cases[i].says);
    }
}

/* Logits of a few tokens with the placement that a paper machine asks for; its nodes' CPUs may exist or not.
 */
static float *run(enum quern_numa mode, const struct numa_topology *t, unsigned n_threads, size_t *n) {
    struct quern_model *model = NULL;
    struct quern_session *session = NULL;
    struct quern_session_options o;
    struct quern_error err;
    const int32_t ids[] = { 1, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000, 1100 };
    enum { N = sizeof ids / sizeof *ids, PROMPT = 9 };
    assert_int_equal(quern_model_open(bundled, NULL, &model, &err), QUERN_OK);
    placement_close(&model->placement);
    model->placement.mode = mode;
    model->placement.topology = *t;
    assert_int_equal(placement_place(model, &err), QUERN_OK);
    quern_session_defaults(&o);
    o.n_threads = n_threads;
    o.n_threads_batch = n_threads + 1;
    o.n_ctx = 64;
    assert_int_equal(quern_session_open(model, &o, &session, &err), QUERN_OK);
    *n = quern_model_n_vocab(model);
    float *logits = malloc(N * *n * sizeof *logits);
    assert_int_equal(quern_session_eval(session, ids, PROMPT, logits, PROMPT, &err), QUERN_OK);
    for (size_t i = PROMPT; i < N; i++)
        assert_int_equal(quern_session_eval(session, ids + i, 1, logits + i * *n, 1, &err), QUERN_OK);
    *n *= N;
    quern_session_close(session);
    quern_model_close(model);
    return logits;
}

static void placement_never_shows_in_the_results(void **state) {
    (void)state;
    static const enum quern_numa modes[] = { QUERN_NUMA_DISTRIBUTE, QUERN_NUMA_ISOLATE, QUERN_NUMA_MIRROR };
    size_t n, m;
    struct numa_topology none = { 0 };
    float *want = run(QUERN_NUMA_NONE, &none, 1, &n);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        for (unsigned n_nodes = 1; n_nodes <= 8; n_nodes *= 2)
            for (unsigned n_threads = 1; n_threads <= 5; n_threads += 2) {
                struct numa_topology t = make_topology((const unsigned[]){ 1, 1, 2, 1, 1, 3, 1, 1 }, n_nodes);
                for (unsigned k = 0; k < n_nodes; k++)
                    t.nodes[k].free_bytes = UINT64_MAX;
                float *got = run(modes[i], &t, n_threads, &m);
                assert_int_equal(m, n);
                if (support_first_difference(got, want, n) < n)
                    fail_msg("mode %d on %u nodes with %u threads gives other logits", modes[i], n_nodes,
                             n_threads);
                free(got);
            }
    free(want);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_go_round_robin_until_a_node_is_full),
        cmocka_unit_test(a_smaller_team_is_placed_as_the_first_of_a_larger),
        cmocka_unit_test(shards_cover_all_rows_in_proportion_to_threads),
        cmocka_unit_test(isolation_uses_the_node_of_the_start_alone),
        cmocka_unit_test(a_mirror_without_room_is_refused_with_the_bytes),
        cmocka_unit_test(what_was_done_is_said),
        cmocka_unit_test(placement_never_shows_in_the_results),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
