"""Hub id of each benchmark's data set; read by the rules too, so without other imports."""

IDS = {
    "arc_challenge": "allenai/ai2_arc",
    "gsm8k": "openai/gsm8k",
    "hellaswag": "Rowan/hellaswag",
    "mmlu": "cais/mmlu",
    "truthfulqa": "truthfulqa/truthful_qa",
    "winogrande": "allenai/winogrande",
    "bbh": "SaylorTwift/bbh",
    "gpqa": "Idavidrein/gpqa",
    "ifeval": "wis-k/instruction-following-eval",
    "math_lvl5": "DigitalLearningGmbH/MATH-lighteval",
    "mmlu_pro": "TIGER-Lab/MMLU-Pro",
    "musr": "TAUR-Lab/MuSR",
    "wikitext": "EleutherAI/wikitext_document_level",
}
