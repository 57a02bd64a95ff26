"""Pass, warn, inconclusive or block for each variant, by a policy, from the paired statistics and the answers of a study."""
