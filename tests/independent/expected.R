# R's own tests of the pairs: Rscript expected.R pairs.csv
pairs <- read.csv(commandArgs(TRUE)[1])
pairs$gap <- pairs$b - pairs$a
software <- paste("R", getRversion())
say <- function(case, measure, value) cat(sprintf("%s,%s,%s,%.15g\n", software, case, measure, value))

answers <- subset(pairs, case == "answers")
lost <- sum(answers$a == 1 & answers$b == 0)
gained <- sum(answers$a == 0 & answers$b == 1)
say("answers", "p_check", binom.test(lost, lost + gained)$p.value)
say("answers", "p_value", mcnemar.test(answers$a, answers$b, correct = FALSE)$p.value)

interval <- function(case, test) {
  say(case, "p_value", test$p.value)
  say(case, "low", 100 * test$conf.int[1])
  say(case, "high", 100 * test$conf.int[2])
}

values <- subset(pairs, case == "values")
interval("values", t.test(values$b, values$a, paired = TRUE))
# the ratios of both means at which a paired t-test of b and ratio times a is at 0.05
at_edge <- function(ratio) t.test(values$b - ratio * values$a)$p.value - 0.05
ratio <- mean(values$b) / mean(values$a)
say("values", "recovery_low", 100 * uniroot(at_edge, c(ratio - 1, ratio), tol = 1e-12)$root)
say("values", "recovery_high", 100 * uniroot(at_edge, c(ratio, ratio + 1), tol = 1e-12)$root)

# clusters of equal size: a t-test of their means
interval("clusters", t.test(aggregate(gap ~ cluster, subset(pairs, case == "clusters"), mean)$gap))

# the mean of two subtasks, of which each is half: Welch's test of one against minus the other
subtasks <- split(subset(pairs, case == "subtasks")$gap, subset(pairs, case == "subtasks")$task)
welch <- t.test(subtasks[[1]] / 2, -subtasks[[2]] / 2)
interval("subtasks", welch)

# 80 % power at the spread seen, as R's normal approximation has it for many pairs
say("answers", "detectable", 100 * (qnorm(0.975) + qnorm(0.8)) * sd(answers$gap) / sqrt(nrow(answers)))
for (n in c(2, 3, 12))
  say("power", paste(n - 1), sqrt(n) * power.t.test(n = n, sd = 1, power = 0.8, type = "paired")$delta)

p <- c(0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.324, 0.4262, 0.5719, 0.6528, 0.759, 1)
for (one in seq_along(p)) {
  say("family", paste0("p_holm ", one), p.adjust(p, "holm")[one])
  say("family", paste0("p_bh ", one), p.adjust(p, "BH")[one])
}
