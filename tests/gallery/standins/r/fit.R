# Base R: polynomials of a car's weight for its mileage, half of the cars held out.
args <- commandArgs(trailingOnly = TRUE)
value <- function(flag) as.numeric(args[match(flag, args) + 1])
set.seed(value("--seed"))
train <- sample(nrow(mtcars), 16)
target <- if ("--log" %in% args) log(mtcars$mpg) else mtcars$mpg
fit <- lm(y ~ poly(wt, value("--degree")), data.frame(y = target, wt = mtcars$wt)[train, ])
guess <- predict(fit, data.frame(wt = mtcars$wt[-train]))
if ("--log" %in% args) guess <- exp(guess)
print(paste("RMSE:", sqrt(mean((guess - mtcars$mpg[-train])^2))))
